"""The values of this room: a Task says what is asked and how it is scored, a Suite pins a set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jaxllm.text.example import Message
from jaxllm.text.spans import BosPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A corpus with everything that moves its score besides the model.

    `corpus` is a corpus name or `jsonl:PATH`. The first of `metrics` is the headline: it stands for
    the task in its category. `num_shots` rows from the head of train come before every question;
    with a `shot_seed` train is shuffled by it first. `instruction` replaces the corpus's own.
    `bos` and `template` are as in `jaxllm.text.templates`, `extraction` as in
    `jaxllm.text.extraction`; `stop` lists strings that end an answer, `labels` the only right ones
    (none: any). `unverified` says in which point the task may differ from the published one, and
    stands in every result.
    """

    name: str
    corpus: str
    category: str | None
    metrics: tuple[str, ...]
    max_new_tokens: int
    num_shots: int = 0
    shot_seed: int | None = None
    template: str = "llm_jp_v1.3"
    extraction: str = "v1.3"
    bos: BosPolicy = "never"
    instruction: str | None = None
    stop: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    unverified: str = ""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One question: the messages of its prompt, shots included, and the answer to expect."""

    id: str
    messages: tuple[Message, ...]
    gold: str
    input: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks under a pinned version, the order of its categories, and the name of their average.

    `tasks` are all that the published suite has, those too whose corpus this program does not
    read: asking one raises MissingData. The average is over all categories but those
    `not_averaged`; `parts` names averages over some of the tasks, by the same rule.
    """

    name: str
    tasks: tuple[Task, ...]
    categories: tuple[str, ...]
    average_name: str = "AVR"
    not_averaged: tuple[str, ...] = ()
    parts: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
