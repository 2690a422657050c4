"""Training progress: every category over steps and tokens, with its interval and the tuning loss.

Points come from evaluators inside a training run, and from `jaxllm evaluate --checkpoints`.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxllm.reporting.boards import BASE, TUNED, Board, steps_of
from jaxllm.reporting.learned import reference_for
from jaxllm.reporting.results import Result

Scalars = Sequence[Mapping[str, Any]]
_LOSS, _TOKENS = "loss", "tokens_seen"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run at one step: scores are (mean, low, high) by column, None where there is none.

    `loss` is the mean training loss since the point before; tokens and loss are None where the
    run's metrics are not at hand.
    """

    step: int
    tokens: int | None
    loss: float | None
    scores: tuple[tuple[float, float | None, float | None] | None, ...]
    result: Result


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One run's points in order of steps; `columns` names their scores, the average first."""

    title: str
    label: str
    columns: tuple[str, ...]
    points: tuple[Point, ...]


def training_progress(
    board: Board, read_scalars: Callable[[Result], Scalars]
) -> tuple[Progress, ...]:
    """The progress of every run of a board that has more than one step.

    `read_scalars` gives the rows of training metrics of the run that a result belongs to, none
    where they are not at hand. A run begins with its base model, where the board has it.
    """
    columns = (*((board.average,) if board.average else ()), *board.categories)
    found = []
    for run in (*board.having(BASE), *board.having(TUNED)):
        results = [result for result in steps_of(board, run) if result.step is not None]
        if len(results) < 2:
            continue
        base = reference_for(board, run, BASE)
        if base is not None and not base.step and results[0].step:
            results.insert(0, base)
        rows = read_scalars(run)
        found.append(
            Progress(
                title=board.title,
                label=board.label(run),
                columns=columns,
                points=tuple(_points(board, results, rows)),
            )
        )
    return tuple(found)


def _points(board: Board, results: Sequence[Result], rows: Scalars) -> list[Point]:
    losses = [(row["step"], row[_LOSS]) for row in rows if row.get(_LOSS) is not None]
    counts = [(row["step"], row[_TOKENS]) for row in rows if row.get(_TOKENS) is not None]
    points, before = [], 0
    for result in results:
        step = result.step or 0
        since = [loss for at, loss in losses if before < at <= step]
        tokens = result.record["run"].get("tokens")
        if tokens is None:
            tokens = 0 if step == 0 else _last(counts, step)
        scores = [_score(result.average)] if board.average else []
        scores += [_score(result.categories.get(category, {})) for category in board.categories]
        points.append(
            Point(
                step=step,
                tokens=None if tokens is None else int(tokens),
                loss=statistics.fmean(since) if since else None,
                scores=tuple(scores),
                result=result,
            )
        )
        before = step
    return points


def _last(counts: Sequence[tuple[int, float]], step: int) -> float | None:
    """The tokens seen by a step, from the last row up to it; None where none is near.

    Rows are written every few steps, so a row may be older than the step that is asked for.
    """
    index = bisect.bisect_right(counts, (step, float("inf")))
    if index == 0:
        return None
    at, tokens = counts[index - 1]
    return tokens * step / at if at else tokens


def _score(measured: Mapping[str, Any]) -> tuple[float, float | None, float | None] | None:
    if measured.get("mean") is None:
        return None
    low, high = measured.get("interval") or (None, None)
    return measured["mean"], low, high
