"""What people said of answers: exports of `jaxllm annotate`, or llm-human-eval-jp's files.

llm-human-eval-jp (Inoue et al., NLP2025) has a line for each prompt: `{"id", "turns": [{"prompt",
"responses": {MODEL: {"response", "human_evals": {AXIS: [1 to 5, ...]}}}}]}`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from jaxllm.corpora.json_records import read_records
from jaxllm.errors import UserError
from jaxllm.judging.raters import Item, Values

# On every axis of both; what is off it says that there was nothing to rate.
SCALE = (1.0, 5.0)


def read_ratings(path: str | os.PathLike[str]) -> dict[str, Values]:
    """What was given to each item, by axis, each annotator's value for itself.

    Raises:
        UserError: the file is not there, is another one, or holds comparisons.
    """
    path = epath.Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    found: dict[str, dict[Item, list[float]]] = {}
    for number, record in enumerate(read_records(path), start=1):
        try:
            for axis, item, value in _exported(record) if "annotator" in record else _eval(record):
                if isinstance(value, int | float) and SCALE[0] <= value <= SCALE[1]:
                    found.setdefault(axis, {}).setdefault(item, []).append(float(value))
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}, line {number}: no rating as `jaxllm annotate export` or "
                f"llm-human-eval-jp has them ({error!r})"
            ) from error
    if not found:
        raise UserError(f"{path} holds no rating from 1 to 5")
    return {
        axis: {item: tuple(values) for item, values in items.items()}
        for axis, items in found.items()
    }


def _exported(record: Mapping[str, Any]) -> Iterator[tuple[str, Item, Any]]:
    item = (str(record["model"]), str(record["question_id"]), 0, int(record["turn"]))
    for axis, value in record["ratings"].items():
        yield axis, item, value


def _eval(record: Mapping[str, Any]) -> Iterator[tuple[str, Item, Any]]:
    for turn, asked in enumerate(record["turns"], start=1):
        for model, answered in asked["responses"].items():
            for axis, values in answered["human_evals"].items():
                for value in values:
                    yield axis, (model, str(record["id"]), 0, turn), value
