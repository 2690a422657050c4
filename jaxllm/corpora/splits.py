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


def train_dev_and_test(rows: Sequence[T]) -> tuple[list[T], list[T], list[T]]:
    """Eight parts, one and one, shuffled: for origins of a thousand rows or more without splits."""
    rows = shuffled(rows)
    first, second = int(len(rows) * 0.8), int(len(rows) * 0.9)
    return rows[:first], rows[first:second], rows[second:]


def shots_dev_and_test(rows: Sequence[T]) -> tuple[list[T], list[T], list[T]]:
    """32 rows for the shots, the rest in halves, shuffled: for fewer rows without splits."""
    rows = shuffled(rows)
    half = 32 + (len(rows) - 32) // 2
    return rows[:32], rows[32:half], rows[half:]
