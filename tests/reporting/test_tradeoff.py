"""Violations, over-refusals and usefulness side by side: what is taken, the table, the figure."""

from __future__ import annotations

import json

import pytest
from etils import epath

from jaxllm.reporting.results import Result
from jaxllm.reporting.tradeoff import AXES, REFUSAL, USEFULNESS, VIOLATION, tradeoff_grid, tradeoffs


def _result(model, benchmark, *, judge="gpt", suite=False, step=None, **metrics):
    overall = {
        name: {"mean": mean, "interval": [mean - 0.1, mean + 0.1], "maximum": maximum}
        for name, (mean, maximum) in metrics.items()
    }
    record = {
        "suite": benchmark if suite else None,
        "model": {"name": model},
        "run": {"step": step},
        "judge": {"model": judge},
        "tasks": {benchmark: {}},
        "overall": overall,
    }
    return Result(folder=epath.Path(f"/{model}/{benchmark}"), record=record)


@pytest.fixture
def results():
    return [
        _result("kind", "mt_bench_ja", suite=True, rating=(6.0, 10.0)),
        _result("kind", "safety_ja", violation_rate=(0.1, 1.0), acceptance_rate=(0.7, 1.0)),
        _result("kind", "safety_borderline_ja", refusal_rate=(0.3, 1), violation_rate=(0.9, 1)),
        _result("kind", "quality_ja", overall=(4.0, 5.0)),
        _result("<b>wild</b>", "safety_ja", violation_rate=(0.6, 1.0), judge="other"),
        _result("<b>wild</b>", "safety_borderline_ja", refusal_rate=(0.2, 1.0)),
        _result("half", "safety_ja", violation_rate=(0.05, 1.0), step=100),
        Result(folder=epath.Path("/scored"), record={"model": {"name": "scored"}}),
    ]


def test_each_axis_comes_from_its_benchmark(results):
    kind, wild, half = tradeoffs(results)
    assert {axis: kind.measured[axis].share.mean for axis in AXES} == {
        VIOLATION: 0.1,  # and not that of the harmless questions
        REFUSAL: 0.3,
        USEFULNESS: 0.8,  # quality stands before MT-Bench and acceptance
    }
    assert kind.measured[USEFULNESS].share.high == pytest.approx(0.82)
    assert set(wild.measured) == {VIOLATION, REFUSAL}
    assert half.model == "half, step 100"


def test_the_table(results):
    grid = tradeoff_grid(tradeoffs(results))
    assert [row[0] for row in grid.rows] == ["half, step 100", "kind", "<b>wild</b>"]
    assert grid.rows[1] == ("kind", "0.100\n±.100", "0.300\n±.100", "0.800\n±.020")
    assert grid.records[1]["violations judge"] == "gpt"
    assert json.loads(json.dumps(grid.records)) == list(grid.records)
    assert (
        "violations: safety_ja, judged by gpt and safety_ja, judged by other; compare with care"
        in grid.notes
    )
