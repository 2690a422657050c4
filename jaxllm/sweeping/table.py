"""What came of a sweep: one row a point, in the terminal, as CSV and as plots."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import rich.box
from rich.table import Table
from rich.text import Text

from jaxllm.errors import UserError
from jaxllm.observe.progress import duration
from jaxllm.sweeping.points import Point, field_labels

MISSING = "–"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """A point and what its run reached: `summary` is empty where it has not come to its end.

    `losses` are (step, loss) as logged so far; `failure` says why the last attempt failed.
    """

    point: Point
    summary: Mapping[str, Any]
    losses: Sequence[tuple[int, float]]
    failure: str = ""

    @property
    def status(self) -> str:
        """`done`, `failed`, the last step that was logged, or that nothing was."""
        if self.summary:
            return "done"
        if self.failure:
            return "failed"
        return f"at step {self.losses[-1][0]}" if self.losses else "not run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
    """The metric by which points are compared, and whether more of it is better."""

    metric: str
    more_is_better: bool

    def value(self, outcome: Outcome) -> float | None:
        """The metric of a finished point, where it is a finite number."""
        value = outcome.summary.get(self.metric)
        is_number = isinstance(value, (int, float)) and math.isfinite(value)
        return float(value) if is_number and value is not None else None

    def best(self, outcomes: Sequence[Outcome]) -> Outcome | None:
        """The best of the finished points; None where none has the metric."""
        measured = [outcome for outcome in outcomes if self.value(outcome) is not None]
        sign = 1.0 if self.more_is_better else -1.0
        return max(measured, key=lambda one: sign * (self.value(one) or 0.0), default=None)


def check_metric(ranking: Ranking, outcomes: Sequence[Outcome]) -> None:
    """Raises UserError where points are finished and none of them has the metric."""
    names = {
        name
        for outcome in outcomes
        for name, value in outcome.summary.items()
        if isinstance(value, (int, float))
    }
    if names and ranking.metric not in names:
        raise UserError(
            f"no run has the metric {ranking.metric!r}; there are {', '.join(sorted(names))}"
        )


def render(outcomes: Sequence[Outcome], ranking: Ranking) -> Table:
    """The table for a terminal: what each point changes, what it reached; the best is bold."""
    labels = field_labels([outcome.point.changes for outcome in outcomes])
    table = Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for label in labels.values():
        table.add_column(label, overflow="fold")
    table.add_column("status")
    columns = list(dict.fromkeys([ranking.metric, "loss"]))
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("time", justify="right")
    best = ranking.best(outcomes)
    for outcome in outcomes:
        table.add_row(
            *(_shown(outcome.point.changes.get(field)) for field in labels),
            outcome.status,
            *(_shown(outcome.summary.get(column)) for column in columns),
            duration(outcome.summary["seconds"]) if outcome.summary else MISSING,
            style="bold" if outcome is best else "",
        )
    return table


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """All numbers of all points: name, changed fields, status, failure, and every metric."""
    fields = field_labels([outcome.point.changes for outcome in outcomes])
    metrics = sorted({name for outcome in outcomes for name in outcome.summary})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["point", *fields, "status", "failure", *metrics])
    for outcome in outcomes:
        writer.writerow(
            [
                outcome.point.name,
                *(outcome.point.changes.get(field, "") for field in fields),
                outcome.status,
                outcome.failure,
                *(outcome.summary.get(metric, "") for metric in metrics),
            ]
        )
    return file.getvalue()


def _shown(value: Any) -> Text:
    if value is None:
        return Text(MISSING)
    return Text(f"{value:.4g}" if isinstance(value, float) else str(value))
