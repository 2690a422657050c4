"""Grouping requests into batches of few static shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxllm.models.config import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Which requests go together, and the shape they are padded to."""

    members: tuple[int, ...]
    rows: int
    prompt_slots: int
    new_slots: int


def length_bucket(length: int) -> int:
    """The padded size of a length: a power of two, or three quarters of one; at least 32."""
    size = 32
    while size < length:
        if size >= 64 and size * 3 // 2 >= length:
            return size * 3 // 2
        size *= 2
    return size


def make_batches(
    shapes: Sequence[tuple[int, int]], config: ModelConfig, cache_bytes: int, max_rows: int
) -> list[Batch]:
    """Batches over requests given as (prompt tokens, new tokens), longest prompts together.

    Requests of like length share a batch so that little is padding; the rows of a batch are a
    power of two such that its keys and values fit in `cache_bytes`.
    """
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, (prompt, new) in enumerate(shapes):
        by_shape.setdefault((length_bucket(prompt), length_bucket(new)), []).append(index)
    batches = []
    for (prompt_slots, new_slots), members in sorted(by_shape.items(), reverse=True):
        members.sort(key=lambda index: shapes[index], reverse=True)
        rows = _max_rows(config, prompt_slots + new_slots, cache_bytes, max_rows)
        for start in range(0, len(members), rows):
            group = tuple(members[start : start + rows])
            batches.append(
                Batch(
                    members=group,
                    rows=min(rows, _power_of_two_from(len(group))),
                    prompt_slots=prompt_slots,
                    new_slots=new_slots,
                )
            )
    return batches


def _max_rows(config: ModelConfig, slots: int, cache_bytes: int, max_rows: int) -> int:
    per_slot = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    per_row = slots * per_slot * (2 if config.dtype == "bfloat16" else 4)
    rows = max(1, min(max_rows, cache_bytes // per_row))
    return 1 << (rows.bit_length() - 1)


def _power_of_two_from(size: int) -> int:
    return 1 << (size - 1).bit_length()
