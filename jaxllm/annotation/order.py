"""Which answers are shown together, and in which order one annotator sees them."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence

from jaxllm.annotation.scales import Kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversation:
    """A question with one model's answer, or with two models' side by side; rated turn by turn."""

    question: str
    models: tuple[str, ...]


def conversations(
    kind: Kind, models_by_question: Mapping[str, Sequence[str]], *, baseline: str = ""
) -> list[Conversation]:
    """Everything to be rated: each answer, or each pair of answers to a question.

    With a `baseline` only the pairs that it is part of.
    """
    together = 1 if kind == "rating" else 2
    return [
        Conversation(question=question, models=chosen)
        for question, models in models_by_question.items()
        for chosen in itertools.combinations(models, together)
        if not baseline or baseline in chosen
    ]


def shuffled(conversations: Sequence[Conversation], *, seed: str) -> list[Conversation]:
    """An order of one's own, a pure function of the seed; half of the pairs change sides."""
    draw = random.Random(seed)
    order = draw.sample(conversations, len(conversations))
    swaps = [index % 2 == 0 for index in range(len(order))]
    draw.shuffle(swaps)
    return [
        dataclasses.replace(conversation, models=conversation.models[::-1])
        if swap
        else conversation
        for conversation, swap in zip(order, swaps, strict=True)
    ]
