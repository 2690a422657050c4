"""Averages: the published ones, and what is said of what is missing."""

from __future__ import annotations

import dataclasses
import json

import pytest

from jaxllm import tasks


def _cases(spec_dir, metric):
    lines = (spec_dir / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["metric"] == metric]
    assert cases
    return cases


def _suite_of_categories(suite, scores):
    """The averages of the suite with one task for each category, and those tasks' scores."""
    members = tuple(
        dataclasses.replace(tasks.get_task("mini/v1:nli"), name=name, category=name)
        for name in suite.categories
    )
    return tasks.aggregate(dataclasses.replace(suite, tasks=members), scores)


def _scores(suite, by_corpus):
    return {f"{suite.name}:{corpus}": score for corpus, score in by_corpus.items()}


def test_averages_name_what_is_missing():
    suite = tasks.get_suite("llm-jp-eval/v1.3.1")
    result = tasks.aggregate(suite, _scores(suite, {"mawps": 0.5, "jemhopqa": 0.25}))
    assert result.categories == {"MR": 0.5, "QA": 0.25}
    assert (result.average_name, result.average) == ("AVR", 0.375)
    assert result.missing_categories == ("EL", "FA", "HE", "MC", "MT", "NLI", "RC")
    # niilc is missing inside a category that has a score.
    assert {f"{suite.name}:{name}" for name in ("niilc", "chabsa", "alt-e-to-j")} <= set(
        result.missing_tasks
    )
    assert len(result.missing_tasks) == 22 - 2
    assert f"{suite.name}:jsts" not in result.missing_tasks
    assert tasks.aggregate(suite, {}).average is None


def test_a_task_missing_inside_a_category_is_named_although_the_category_is_there():
    suite = tasks.get_suite("llm-jp-eval/v1.3.1")
    scores = {task.name: 0.5 for task in suite.tasks if task.corpus != "jsick"}
    result = tasks.aggregate(suite, scores)
    assert (result.average, result.missing_categories) == (0.5, ())
    assert result.missing_tasks == ("llm-jp-eval/v1.3.1:jsick",)


@pytest.mark.parametrize(
    "name, averaged",
    [
        ("llm-jp-eval/v1.0", 4),
        ("llm-jp-eval/v1.3.1", 9),
        ("llm-jp-eval/v1.4.1", 10),
        ("llm-jp-eval/v2.1", 14),
    ],
)
def test_a_complete_suite_misses_nothing(name, averaged):
    suite = tasks.get_suite(name)
    assert len(suite.categories) - len(suite.not_averaged) == averaged
    scores = {task.name: float(index) for index, task in enumerate(suite.tasks)}
    result = tasks.aggregate(suite, scores)
    assert (result.missing_categories, result.missing_tasks) == ((), ())
    means = []
    for category in suite.categories:
        members = [scores[task.name] for task in suite.tasks if task.category == category]
        if category not in suite.not_averaged:
            means.append(sum(members) / len(members))
    assert result.average == pytest.approx(sum(means) / averaged)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("llm-jp-eval/v1.3.1", "aggregate_AVG_v1.3"),
        ("llm-jp-eval/v1.4.1", "aggregate_AVG_v1.4.1"),
    ],
)
def test_averages_are_the_published_ones(spec_dir, name, metric):
    for case in _cases(spec_dir, metric):
        result = _suite_of_categories(tasks.get_suite(name), case["inputs"]["categories"])
        assert round(result.average, 4) == case["expected"]
        assert not result.missing_categories


def test_averages_of_v2_1_are_the_published_ones_from_the_scores_of_its_tasks(spec_dir):
    suite = tasks.get_suite("llm-jp-eval/v2.1")
    for case in _cases(spec_dir, "aggregate_v2.1.3"):
        given = case["inputs"]
        result = tasks.aggregate(suite, _scores(suite, given["task_scores"]))
        found = {"AVG": result.average, **result.parts}
        assert {name: round(mean, 3) for name, mean in found.items()} == case["expected"]
        assert (result.missing_categories, result.missing_tasks) == ((), ())
        members = {
            category: {task.corpus for task in suite.tasks if task.category == category}
            for category in suite.categories
        }
        assert members == {name: set(names) for name, names in given["categories"].items()}
        assert {name.partition(":")[2] for name in suite.parts["EN"]} == set(given["english_tasks"])


def test_a_part_without_a_score_has_no_average():
    suite = tasks.get_suite("llm-jp-eval/v2.1")
    result = tasks.aggregate(suite, _scores(suite, {"jamp": 0.25, "janli": 0.75, "aio": 1.0}))
    assert result.parts == {"JA": 0.75}
    assert result.average == 0.75


def test_a_category_beside_the_average_is_not_missed():
    suite = tasks.get_suite("llm-jp-eval/v1.4.1")
    scores = dict.fromkeys((name for name in suite.categories if name != "SUM"), 0.5)
    assert _suite_of_categories(suite, scores).average == 0.5
    assert not _suite_of_categories(suite, scores).missing_tasks
    assert _suite_of_categories(suite, scores | {"SUM": 0.0}).average == 0.5
    assert _suite_of_categories(suite, scores | {"SUM": 0.0}).categories["SUM"] == 0.0
