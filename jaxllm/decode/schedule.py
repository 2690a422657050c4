"""What is run when: prefix groups, and the packed rows in which their requests are prefilled.

All requests, their lengths and their caps are known before anything runs, so the order is made
once, on the host, from token counts alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxllm.decode.prefixes import PrefixGroup, group_by_prefix

_SMALLEST = 16
_SMALLEST_REACH = 128
# How many waiting items are looked through for one that fills the gap of a row.
_LOOKAHEAD = 512


def size_bucket(length: int, parts: int = 8) -> int:
    """The padded size of a length: a multiple of the next power of two's `parts`-th part, or of 16.

    Every size is a program to compile; fewer parts make fewer of them, and more padding.
    """
    step = max(_SMALLEST, (1 << max(0, length - 1).bit_length()) // parts)
    return max(1, -(-length // step)) * step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One request in the schedule: its index, its own tokens behind the prefix, its cap."""

    index: int
    own: int
    cap: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedPlan:
    """Rows of one prefill: `rows[r]` holds items side by side; `length` is that of every row."""

    group: PrefixGroup
    rows: tuple[tuple[Item, ...], ...]
    length: int

    @property
    def items(self) -> list[Item]:
        """All items, row by row."""
        return [item for row in self.rows for item in row]

    @property
    def indices(self) -> set[int]:
        """The requests it holds."""
        return {item.index for item in self.items}

    @property
    def longest(self) -> int:
        """The padded size of the longest item."""
        return size_bucket(max(item.own for item in self.items), 4)

    @property
    def reach(self) -> int:
        """How far back a token may look for those of its item; coarse, for few programs."""
        return max(_SMALLEST_REACH, self.longest)


def make_schedule(
    prompts: Sequence[Sequence[int]],
    caps: Sequence[int],
    *,
    row_length: int,
    num_rows: int,
    max_items: int,
    together: int,
    longest_prefix: Sequence[int] | None = None,
) -> list[PackedPlan]:
    """Prefills in the order they run.

    Groups with the longest answers go first. Within a group the longest prompts do, so that rows
    that are decoded together are of like length, and of each `together` of them the longest
    answers. The last ones are up to twice as many: rows stand idle when none wait, and then there
    are enough short answers for those that end early. A row takes items in that order while they
    fit, then others that fill its gap.

    Args:
        row_length: tokens of a row, a size of `size_bucket`; a longer item has a row of its own.
        num_rows: rows of a prefill, a multiple of the devices the batch is split over.
        max_items: the most items of a row.
        together: requests that are decoded together.
        longest_prefix: how much of each prompt may belong to a prefix, if not all but one token.
    """
    plans: list[PackedPlan] = []
    groups = group_by_prefix(prompts, longest_prefix)
    for group in sorted(groups, key=lambda group: -max(caps[m] for m in group.members)):
        items = [
            Item(index=index, own=len(prompts[index]) - group.length, cap=caps[index])
            for index in group.members
        ]
        items.sort(key=lambda item: (-item.own, item.index))
        starts = range(0, max(1, len(items) - together), together)
        for start in starts:
            part = slice(start, None if start == starts[-1] else start + together)
            items[part] = sorted(items[part], key=lambda item: (-item.cap, item.index))
        rows = _packed(items, row_length, max_items)
        for start in range(0, len(rows), num_rows):
            part = rows[start : start + num_rows]
            longest = max(sum(item.own for item in row) for row in part)
            plans.append(
                PackedPlan(
                    group=group,
                    rows=(*part, *[()] * (num_rows - len(part))),
                    length=size_bucket(longest),
                )
            )
    return plans


def _packed(items: Sequence[Item], length: int, max_items: int) -> list[tuple[Item, ...]]:
    rows = []
    waiting = list(items)
    while waiting:
        row = [waiting.pop(0)]
        free = length - row[0].own
        place = 0
        while place < min(len(waiting), _LOOKAHEAD) and len(row) < max_items:
            if waiting[place].own <= free:
                row.append(waiting.pop(place))
                free -= row[-1].own
            else:
                place += 1
        rows.append(tuple(row))
    return rows
