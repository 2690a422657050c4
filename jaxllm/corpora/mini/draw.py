"""Drawing a task's rows so that train, dev and test share neither inputs nor combinations."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from jaxllm.corpora.base import Pair

# A draw is the combination it stands for (what test must have and train must lack) and its row.
Draw = Callable[[random.Random], tuple[tuple[object, ...], Pair]]

SIZES = {"train": 4000, "dev": 100, "test": 200}
_GIVE_UP_AFTER = 4000


def split_of(*combination: object) -> str:
    """The split a combination belongs to: an eighth of all is test, an eighth dev, by its hash."""
    bucket = zlib.crc32("|".join(map(str, combination)).encode("utf-8")) % 8
    return {0: "test", 1: "dev"}.get(bucket, "train")


def draw_splits(draw: Draw, *, sizes: Mapping[str, int] = SIZES) -> dict[str, list[Pair]]:
    """Rows of every split: no input twice, and every combination in one split only.

    A split is smaller than `sizes` says where the combinations run out.
    """
    return {
        split: list(_rows(draw, split, size, random.Random(f"{split} 1")))
        for split, size in sizes.items()
    }


def _rows(draw: Draw, split: str, size: int, rng: random.Random) -> Iterator[Pair]:
    seen: set[str] = set()
    misses = 0
    while len(seen) < size and misses < _GIVE_UP_AFTER:
        combination, pair = draw(rng)
        if split_of(*combination) != split or pair.input in seen:
            misses += 1
            continue
        misses = 0
        seen.add(pair.input)
        yield pair


def others(rng: random.Random, items: Sequence[str], *taken: str) -> str:
    """One of the items that is none of those taken."""
    return rng.choice([item for item in items if item not in taken])
