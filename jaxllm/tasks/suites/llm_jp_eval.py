"""What the pinned versions of llm-jp-eval have in common: a corpus of theirs as a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jaxllm import corpora
from jaxllm.tasks.task import Task

# (corpus, category): the category may be None for one that is run and enters no mean.
Members = Iterable[tuple[str, str | None]]


def suite_tasks(
    suite: str, members: Members, changes: Mapping[str, Mapping[str, Any]], **shared: Any
) -> tuple[Task, ...]:
    """The tasks of a suite, with what its corpora pin: instruction, metrics, length of the answer.

    `changes` holds fields in which a task differs, by corpus, `shared` those of all. A corpus that
    this program cannot read yet is left out, and its category reported as missing.
    """
    known = set(corpora.names())
    return tuple(
        _task(suite, name, category, {**shared, **changes.get(name, {})})
        for name, category in members
        if name in known
    )


def _task(suite: str, name: str, category: str | None, fields: Mapping[str, Any]) -> Task:
    corpus = corpora.get(name)
    pinned: dict[str, Any] = {
        "metrics": corpus.metrics,
        "max_new_tokens": corpus.output_length,
        "num_shots": 4,
        "bos": "never",
    }
    return Task(name=f"{suite}:{name}", corpus=name, category=category, **{**pinned, **fields})
