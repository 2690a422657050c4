"""What a result's headline is called, and metrics of other scales in one average."""

from __future__ import annotations

import pytest

from jaxllm.evaluators.outcome import TaskOutcome
from jaxllm.evaluators.record import build_result, headline_numbers
from jaxllm.metrics import get_metric
from jaxllm.reporting.statistics import mean_interval
from jaxllm.tasks import Suite, Task


@pytest.mark.parametrize(
    ("missing", "missing_tasks", "name"),
    [([], [], "AVR"), (["RC"], [], "AVR(present)"), ([], ["s:jamp"], "AVR(present)")],
)
def test_an_incomplete_average_is_not_the_suites(missing, missing_tasks, name):
    average = {"name": "AVR", "mean": 0.5, "missing": missing, "missing_tasks": missing_tasks}
    result = {"average": average, "categories": {"QA": {"mean": 0.5}, "RC": {"mean": None}}}
    assert headline_numbers(result) == {name: 0.5, "QA": 0.5}


def test_without_a_suite_every_task_has_its_own_number():
    tasks = {
        "a": {"metrics": {"exact_match": {"mean": 0.25}, "comet": {"missing": "no library"}}},
        "b": {"metrics": {"exact_match": {"mean": 1.0}}},
    }
    numbers = headline_numbers({"average": None, "categories": {}, "tasks": tasks})
    assert numbers == {"a/exact_match": 0.25, "b/exact_match": 1.0}


def test_a_score_of_0_to_100_enters_means_as_a_share():
    def outcome(metric: str, category: str, answers: list[str], golds: list[str]) -> TaskOutcome:
        task = Task(
            name=f"s:{metric}",
            corpus="none",
            category=category,
            metrics=(metric,),
            max_new_tokens=1,
        )
        scores = {metric: get_metric(metric)(answers, golds)}
        records = [{"id": str(index)} for index in range(len(golds))]
        return TaskOutcome(task=task, scores=scores, missing={}, records=records, data_sha256="")

    outcomes = [
        outcome("bleu_ja", "MT", ["猫が好きです。", "犬"], ["猫が好きです。", "鳥が飛ぶ。"]),
        outcome("exact_match", "QA", ["a", "b"], ["a", "c"]),
    ]
    suite = Suite(name="s", tasks=tuple(o.task for o in outcomes), categories=("MT", "QA"))
    settings = {"split": "test", "max_samples": 2, "kind": ""}
    result = build_result(
        suite,
        outcomes,
        model={"name": "m"},
        config={},
        settings=settings,
        step=None,
        tokens=None,
    )
    shares = mean_interval([1, 0])
    bleu = result["tasks"]["s:bleu_ja"]["metrics"]["bleu_ja"]
    assert (bleu["mean"], bleu["maximum"]) == (50.0, 100.0)
    assert bleu["interval"] == pytest.approx([100 * shares.low, 100 * shares.high])
    assert result["tasks"]["s:exact_match"]["metrics"]["exact_match"]["maximum"] == 1.0
    for category in ("MT", "QA"):
        assert result["categories"][category]["mean"] == 0.5
        assert result["categories"][category]["interval"] == pytest.approx(
            [shares.low, shares.high]
        )
    assert result["average"]["mean"] == 0.5
