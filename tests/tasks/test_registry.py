"""Tasks and suites by name, and every field of a task by a change."""

from __future__ import annotations

import dataclasses

import pytest

from jaxllm import tasks
from jaxllm.errors import UserError


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(UserError, match="mini/v1:nli"):
        tasks.get_task("mini/v1:nil")
    with pytest.raises(UserError, match="mini/v1"):
        tasks.get_suite("mini/v2")
    with pytest.raises(UserError, match="num_shots"):
        tasks.get_task("mini/v1:nli", num_shot=4)
    with pytest.raises(UserError, match="jcommonsenseqa"):
        tasks.get_task("mini/v1:nli", corpus="jcommonsense")


@pytest.mark.parametrize("suite", tasks.suite_names())
def test_a_task_of_each_suite_is_found_by_its_name_and_changed(suite):
    changes = {"num_shots": 2, "metrics": ("char_f1",), "shot_seed": 3}
    for pinned in tasks.get_suite(suite).tasks:
        assert tasks.get_task(pinned.name) == pinned
        changed = tasks.get_task(pinned.name, **changes)
        assert changed == dataclasses.replace(pinned, **changes)


def test_every_field_of_a_users_task_can_be_set():
    changes = {
        "corpus": "jsonl:b.jsonl",
        "category": "QA",
        "metrics": ["char_f1", "exact_match"],
        "max_new_tokens": 7,
        "num_shots": 4,
        "shot_seed": 1,
        "template": "chat",
        "extraction": "regex:答えは(.*)",
        "bos": "always",
        "instruction": "答えよ。",
        "stop": ["\n"],
        "labels": ["はい", "いいえ"],
        "unverified": "mine",
    }
    assert set(changes) == {field.name for field in dataclasses.fields(tasks.Task)} - {"name"}
    task = tasks.get_task("jsonl:a.jsonl", **changes)
    assert task.name == "jsonl:a.jsonl"
    for name, value in changes.items():
        assert getattr(task, name) == (tuple(value) if isinstance(value, list) else value)


def test_a_users_task_needs_nothing_but_its_file():
    task = tasks.get_task("jsonl:a.jsonl")
    assert (task.metrics, task.max_new_tokens, task.extraction) == (("exact_match",), 64, "strip")
