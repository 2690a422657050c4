"""Lay examples into rows: best fit, or cut from one long stream.

Legend: T row length in positions. An example of n tokens takes n - 1 positions, since its last
token is only ever a target.
"""

from __future__ import annotations

import numpy as np


def best_fit_rows(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Returns the row of each item, int64 [items]; rows are numbered from 0 as they are opened.

    Best-fit decreasing (Johnson 1974): the largest item first, each into the fullest row that
    still takes it. One integer holds a bit for every amount of free space some row has, which
    makes "the smallest free space of at least n" a shift and a lowest set bit.

    Args:
      sizes: positions of each item, 1 to capacity.
      capacity: positions of a row.
    """
    order = np.argsort(-sizes, kind="stable")
    rows_by_space: dict[int, list[int]] = {}
    spaces = 0
    num_rows = 0
    placed = []
    for size in sizes[order].tolist():
        fitting = spaces >> size
        if fitting:
            space = size + (fitting & -fitting).bit_length() - 1
            rows = rows_by_space[space]
            row = rows.pop()
            if not rows:
                spaces ^= 1 << space
        else:
            space = capacity
            row = num_rows
            num_rows += 1
        placed.append(row)
        space -= size
        if space:
            rows_by_space.setdefault(space, []).append(row)
            spaces |= 1 << space
    result = np.empty(len(sizes), np.int64)
    result[order] = placed
    return result


def stream_windows(lengths: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts items laid end to end into windows of equal length and drops the unfinished last one.

    Args:
      lengths: tokens of each item in the order of the stream, int64 [items].
      window: tokens of a window.

    Returns:
      first and last, the items a window begins and ends in, and skips, the tokens of its first
      item that belong to the window before; each int64 [windows].
    """
    ends = np.cumsum(lengths)
    starts = np.arange(int(ends[-1]) // window, dtype=np.int64) * window
    first = np.searchsorted(ends, starts, side="right")
    last = np.searchsorted(ends, starts + window, side="left")
    skips = starts - (ends[first] - lengths[first])
    return first, last, skips


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns start, start + 1, ... of every (start, count) pair, end to end, int64 [sum]."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - counts), counts)
