from __future__ import annotations

import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.reporting.comparison import compare, flips
from jaxllm.reporting.comparison_tables import comparison_grids
from jaxllm.reporting.paired_tests import bootstrap_difference, permutation_p_value
from jaxllm.reporting.statistics import mean_of
from jaxllm.reporting.tuned_on import tuned_tasks
from jaxllm.reporting.views import ViewOptions, comparisons, tuning_effect

_HALF, _ALL, _NONE = [1, 0] * 20, [1] * 40, [0] * 40


def _two(make_result, before, after, mixture=None):
    base = make_result("base", before, folder="base")
    model = {"name": "small"}
    if mixture is not None:
        entries = {str(index): {"source": source} for index, source in enumerate(mixture)}
        model["lineage"] = [{"init_from": None}, {"objective": "sft", "mixture": entries}]
    tuned = make_result("tuned", after, folder="tuned", changes={"model": model})
    for result in (base, tuned):
        for name, task in result.tasks.items():
            task["corpus"] = name.rpartition(":")[2]
    return base, tuned


def test_differences_of_tasks_categories_and_average(make_result):
    base, tuned = _two(make_result, {"A": _HALF, "B": _ALL}, {"A": _ALL, "B": _ALL})
    comparison = compare(base, tuned)
    first, second = comparison.categories
    assert (first.name, first.before, first.after, first.num_samples) == ("A", 0.5, 1.0, 40)
    assert first.interval == bootstrap_difference(np.array(_HALF), np.array(_ALL))
    assert first.p_value == permutation_p_value([np.array(_ALL) - np.array(_HALF)])
    assert first.adjusted == pytest.approx(2 * first.p_value)
    assert (second.p_value, second.adjusted) == (1.0, 1.0)
    average = comparison.average
    assert (average.before, average.after, average.num_samples) == (0.75, 1.0, 80)
    assert average.interval.low == pytest.approx(
        mean_of([first.interval, second.interval]).low, abs=1e-12
    )
    assert comparison.average_elsewhere is None
    assert comparison.remarks == ("what it was tuned on is not recorded",)


def test_tasks_of_the_mixture_are_marked_and_the_average_stands_without_them(make_result):
    scores = {"A": _NONE, "B": _NONE}, {"A": _ALL, "B": _HALF}
    base, tuned = _two(make_result, *scores, mixture=["jaster/a", "jsonl:mine.jsonl"])
    assert tuned_tasks(tuned) == {"mini/v1:a"}
    comparison = compare(base, tuned)
    assert [part.in_distribution for part in comparison.categories] == [1, 0]
    assert comparison.average.interval.mean == pytest.approx(0.75)
    assert comparison.average_elsewhere.interval.mean == pytest.approx(0.5)
    assert "data overlap jsonl:mine.jsonl" in comparison.remarks[0]
    grid, *_ = comparison_grids(comparison, [], before="a", after="b")
    marks = {row[0]: row[-1] for row in grid.rows}
    assert marks["A"] == "in-distribution"
    assert marks["AVR"] == "1 of 2 tasks"
    assert marks["AVR, other tasks"] == marks["B"] == ""


def test_answers_that_turned_are_listed_from_both_sides(make_result):
    base, tuned = _two(make_result, {"A": [1, 0, 1, 0]}, {"A": [0, 1, 1, 0]})
    comparison = compare(base, tuned)
    turned = list(flips(comparison))
    assert [(flip.id, flip.gained, flip.gold) for flip in turned] == [
        ("A-0", False, "正解"),
        ("A-1", True, "正解"),
    ]
    _, counts, examples = comparison_grids(comparison, turned, before="a", after="b")
    assert counts.rows == (("a", "1", "1", "4"),)
    assert len(examples.rows) == 2


def test_what_does_not_compare_is_named_and_no_average_hides_it(make_result):
    base, tuned = _two(make_result, {"A": _HALF, "B": _ALL}, {"A": _ALL, "B": _ALL, "C": None})
    base.tasks["mini/v1:b"]["data_sha256"] = "other"
    comparison = compare(base, tuned)
    assert comparison.average is None
    assert [part.name for part in comparison.categories] == ["A"]
    assert comparison.left_out == (
        "mini/v1:b: scored on other data, by another metric or judge",
        "mini/v1:c: only one of the two was asked",
    )


def test_two_places_are_compared_by_what_they_have_in_common(make_result, tmp_path):
    _two(make_result, {"A": _HALF}, {"A": _ALL})
    effects, left_out = tuning_effect(tmp_path / "base", tmp_path / "tuned")
    assert [effect.after for effect in effects] == ["small, after tuning"]
    assert len(comparisons(effects, ViewOptions())) == 3
    assert left_out == ()
    make_result("tuned", {"A": _ALL}, folder="tuned2", suite="other/v1")
    with pytest.raises(UserError, match="no suite, split"):
        tuning_effect(tmp_path / "base", tmp_path / "tuned2")
    make_result("tuned", {"A": _ALL}, folder="both/a")
    make_result("sft", {"A": _ALL}, folder="both/b")
    with pytest.raises(UserError, match="several runs"):
        tuning_effect(tmp_path / "base", tmp_path / "both")


def test_two_steps_of_a_run_compare(make_result, tmp_path):
    for step, scores in ((10, _HALF), (20, _ALL)):
        make_result("sft", {"A": scores}, folder=f"evals/{step}", step=step)
    (effect,), _ = tuning_effect(tmp_path / "evals" / "10", tmp_path / "evals" / "20")
    assert (effect.before, effect.after) == ("small, sft, step 10", "small, sft, step 20")
    assert effect.comparison.average.interval.mean == 0.5
