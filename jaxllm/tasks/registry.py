"""Tasks and suites by name."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any

from jaxllm import corpora
from jaxllm.errors import UserError
from jaxllm.tasks.suites import (
    llm_jp_eval_v1_0,
    llm_jp_eval_v1_3_1,
    llm_jp_eval_v1_4_1,
    llm_jp_eval_v2_1,
    mini_v1,
)
from jaxllm.tasks.task import Suite, Task

JSONL_PREFIX = "jsonl:"
_SUITES = {
    pinned.SUITE.name: pinned.SUITE
    for pinned in (
        mini_v1,
        llm_jp_eval_v1_0,
        llm_jp_eval_v1_3_1,
        llm_jp_eval_v1_4_1,
        llm_jp_eval_v2_1,
    )
}
_TASKS = {task.name: task for suite in _SUITES.values() for task in suite.tasks}


def suite_names() -> list[str]:
    """The names of all suites."""
    return list(_SUITES)


def task_names() -> list[str]:
    """The names of all tasks, in the order of their suites."""
    return list(_TASKS)


def get_suite(name: str) -> Suite:
    """The suite of that name, such as `mini/v1`; UserError naming the nearest otherwise."""
    if name not in _SUITES:
        raise _unknown("suite", name, _SUITES)
    return _SUITES[name]


def get_task(name: str, **changes: Any) -> Task:
    """The task of that name, such as `mini/v1:nli`, with fields replaced by `changes`.

    `jsonl:PATH` is a task over a file of the user's: each line an instruction, input and output (or
    any other record `jaxllm.text.example` reads), scored by `exact_match` on at most 64 new tokens
    unless `metrics` and `max_new_tokens` say otherwise; with `num_shots` the first rows of the file
    are the shots and are not asked. Raises UserError on an unknown task or field.
    """
    if name.startswith(JSONL_PREFIX):
        task = Task(
            name=name,
            corpus=name,
            category=None,
            metrics=("exact_match",),
            max_new_tokens=64,
            extraction="strip",
            bos="auto",
        )
    elif name in _TASKS:
        task = _TASKS[name]
    else:
        raise _unknown("task", name, _TASKS)
    fields = {field.name for field in dataclasses.fields(Task)} - {"name"}
    for field, value in changes.items():
        if field not in fields:
            raise _unknown("task field", field, fields)
        # A config's lists and the command line's tuples are the same thing here.
        changes[field] = tuple(value) if isinstance(value, list) else value
    task = dataclasses.replace(task, **changes)
    if "corpus" in changes and not task.corpus.startswith(JSONL_PREFIX):
        corpora.get(task.corpus)
    return task


def _unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    return UserError(f"there is no {kind} {name!r}; did you mean {', '.join(near)}?")
