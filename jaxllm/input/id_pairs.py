"""Pairs of a prompt and its completion that come as token ids, for work without a tokenizer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.input.records import fields_of, jsonl_records
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource, TokenPart, join_parts

_FIELDS = ("prompt_ids", "completion_ids")


def holds_ids(path: str | os.PathLike[str]) -> bool:
    """Whether the first line of a JSONL file gives ids and no text."""
    record = next(jsonl_records(epath.Path(path)), None)
    try:
        return record is not None and "prompt_ids" in fields_of(record)
    except UserError:
        return False  # whoever reads the file tells what is wrong with the line


def read_id_pairs(
    path: str | os.PathLike[str], *, vocab_size: int, max_length: int
) -> TokenizedSource:
    """A JSONL file of `prompt_ids` and `completion_ids`; completions carry loss, prompts none.

    Pairs are cut at `max_length` tokens, and dropped where nothing of the completion is left.

    Raises:
        UserError: a line that is no such pair or has an id outside the vocabulary, by its number;
            nothing left to train on.
    """
    ids, weights, names = [], [], []
    read = truncated = untrained = 0
    for record in jsonl_records(epath.Path(path)):
        try:
            prompt, completion = _pair(fields_of(record), vocab_size)
        except UserError as error:
            raise UserError(f"{record.place}: {error}") from None
        read += 1
        if len(prompt) >= max_length:
            untrained += 1
            continue
        truncated += len(prompt) + len(completion) > max_length
        ids.append(np.array([*prompt, *completion][:max_length], np.int32))
        weights.append((np.arange(len(ids[-1])) >= len(prompt)).astype(np.float32))
        names.append(record.id)
    if not ids:
        raise UserError(
            f"{path}: none of its {read} pairs has a completion within {max_length} tokens"
        )
    counts = TokenizeCounts(
        read=read, kept=len(ids), truncated=truncated, dropped_long=0, dropped_untrained=untrained
    )
    part = TokenPart(
        ids=np.concatenate(ids),
        loss_weights=np.concatenate(weights),
        lengths=np.array([len(some) for some in ids], np.int64),
        example_ids=tuple(names),
        counts=counts,
    )
    return join_parts([part], name="data", origin={})


def _pair(fields: dict[str, Any], vocab_size: int) -> tuple[list[int], list[int]]:
    for field in _FIELDS:
        found = fields.get(field)
        if not (isinstance(found, list) and found and all(type(id_) is int for id_ in found)):
            raise UserError(f"`{field}` must be a list of whole numbers, at least one")
        if not 0 <= min(found) <= max(found) < vocab_size:
            raise UserError(
                f"`{field}` has ids from {min(found)} to {max(found)}; the model's go from 0 to "
                f"{vocab_size - 1}"
            )
    return fields["prompt_ids"], fields["completion_ids"]
