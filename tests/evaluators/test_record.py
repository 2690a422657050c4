"""What a result's headline is called."""

from __future__ import annotations

import pytest

from jaxllm.evaluators.record import headline_numbers


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
