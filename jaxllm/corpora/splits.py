"""The split rules of llm-jp-eval: Mersenne Twister shuffles with seed 42, cut at `int(n * share)`.

`random.Random(42)` draws what `random.seed(42)` draws, without touching the global state.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def shuffled(rows: Sequence[T]) -> list[T]:
    """The rows in the order `random.seed(42); random.shuffle(rows)` leaves them in."""
    rows = list(rows)
    random.Random(42).shuffle(rows)
    return rows


def train_and_dev(rows: Sequence[T]) -> tuple[list[T], list[T]]:
    """Nine parts to train and one to dev, shuffled: for origins that give train and test only."""
    rows = shuffled(rows)
    cut = int(len(rows) * 0.9)
    return rows[:cut], rows[cut:]
