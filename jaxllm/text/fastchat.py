"""FastChat's record of a model's answer, for all who read its files.

    {"question_id": 81, "model_id": "vicuna-13b", "choices": [{"index": 0, "turns": [text, ...]}],
     "tstamp": 1686286924.8}

A choice is one of several samples. Where a turn failed, ours has `errors` in it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One sample: the text of each turn, and why turns are missing."""

    index: int
    turns: tuple[str, ...]
    errors: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """A model's answers to one question; `model` is empty where it is not named.

    `made_at` is in seconds since 1970, 0 where it is not known.
    """

    model: str
    choices: tuple[Choice, ...]
    made_at: float = 0.0


def read_model_answer(record: Mapping[str, Any]) -> ModelAnswer:
    """The answers of a record; raises ValueError, which says what is wrong with it."""
    choices = record.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("`choices` holds no answer")
    try:
        return ModelAnswer(
            model=str(record.get("model_id", "")),
            choices=tuple(
                Choice(
                    index=int(choice.get("index", 0)),
                    turns=read_texts("turns", choice.get("turns")),
                    errors=tuple(map(str, choice.get("errors", ()))),
                )
                for choice in choices
            ),
            made_at=float(record.get("tstamp") or 0.0),
        )
    except (TypeError, AttributeError) as error:
        raise ValueError(f"`choices` is no list of answers ({error})") from error


def read_texts(field: str, texts: Any) -> tuple[str, ...]:
    """A list of texts; raises ValueError naming the field."""
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"`{field}` holds no text")
    for text in texts:
        if not isinstance(text, str):
            shown = json.dumps(text, ensure_ascii=False)
            raise ValueError(f"`{field}` must be text, not {shown}")
    return tuple(texts)
