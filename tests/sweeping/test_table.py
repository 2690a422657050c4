"""What a sweep's table and files say of finished, failed and unfinished points."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from jaxllm.errors import UserError
from jaxllm.sweeping.plot import plot_page
from jaxllm.sweeping.points import Point
from jaxllm.sweeping.table import Outcome, Ranking, as_csv, check_metric, render


def _outcome(lr: float, loss: float | None, *, failure: str = "", steps: int = 2) -> Outcome:
    summary = {} if loss is None else {"loss": loss, "eval/dev/AVR": 1 - loss, "seconds": 61.0}
    return Outcome(
        point=Point(name=f"lr={lr:g}", changes={"optimizer.lr": lr}),
        summary=summary,
        losses=[(step, 3.0) for step in range(1, steps + 1)],
        failure=failure,
    )


_OUTCOMES = (
    _outcome(1e-4, 0.5),
    _outcome(1e-3, 0.25),
    _outcome(1e-2, None, failure="the loss of step 3 is nan (exit 2)"),
    _outcome(1e-1, None),
    _outcome(1.0, None, steps=0),
)


def test_the_table_names_every_state() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(_OUTCOMES, Ranking(metric="eval/dev/AVR", more_is_better=True)))
    text = console.export_text()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "lr status eval/dev/AVR loss time" in lines
    assert "0.001 done 0.75 0.25 1 min 01 s" in lines
    assert "0.01 failed – – –" in lines
    assert "0.1 at step 2 – – –" in lines
    assert "1 not run – – –" in lines


@pytest.mark.parametrize(
    ("metric", "more_is_better", "best"), [("loss", False, 1e-3), ("loss", True, 1e-4)]
)
def test_the_best_is_the_best_finished_one(metric: str, more_is_better: bool, best: float) -> None:
    ranking = Ranking(metric=metric, more_is_better=more_is_better)
    found = ranking.best(_OUTCOMES)
    assert found is not None
    assert found.point.changes["optimizer.lr"] == best
    assert ranking.best(_OUTCOMES[2:]) is None


def test_a_metric_that_no_run_has_names_those_there_are() -> None:
    with pytest.raises(UserError, match="there are eval/dev/AVR, loss, seconds"):
        check_metric(Ranking(metric="los", more_is_better=False), _OUTCOMES)
    check_metric(Ranking(metric="los", more_is_better=False), _OUTCOMES[2:])


def test_the_csv_holds_every_number_and_reason() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(_OUTCOMES))))
    assert [row["status"] for row in rows] == ["done", "done", "failed", "at step 2", "not run"]
    assert rows[1]["eval/dev/AVR"] == "0.75"
    assert rows[2]["failure"] == "the loss of step 3 is nan (exit 2)"
    assert rows[2]["optimizer.lr"] == "0.01"


def test_the_page_holds_a_panel_a_field_and_needs_no_network() -> None:
    page = plot_page(_OUTCOMES, Ranking(metric="loss", more_is_better=False))
    assert "loss over lr" in page
    assert "training loss" in page
    assert 'src="http' not in page
