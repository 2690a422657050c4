"""Lay examples into rows: whole ones as tightly as they go, or cut from one long stream.

Legend: T row length in positions. An example of n tokens takes n - 1 positions, since its last
token is only ever a target.
"""

from __future__ import annotations

import numpy as np

# Rows this full are not worth a second try.
_FULL = 0.99
# Of the space in a row a 256th may stay empty: to look for a better sum would take longer.
_SLACK = 256


def pack_rows(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Returns the row of each item, int64 [items]; rows are numbered from 0.

    Best fit, unless that leaves much room and exact fits take fewer rows.

    Args:
      sizes: positions of each item, 1 to capacity.
      capacity: positions of a row.
    """
    rows = best_fit_rows(sizes, capacity)
    if int(np.sum(sizes)) >= _FULL * capacity * (int(rows.max()) + 1):
        return rows
    return min(rows, exact_fit_rows(sizes, capacity), key=np.max)


def best_fit_rows(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Best-fit decreasing (Johnson 1974): the largest item first, each into the fullest row.

    Takes and returns what `pack_rows` does. It is fast, and near the best where lengths differ
    widely. One integer holds a bit for every amount of free space some row has, which makes "the
    smallest free space of at least n" a shift and a lowest set bit.
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


def exact_fit_rows(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Fills row after row to the brim: the largest item left, and what adds up to the rest.

    Takes and returns what `pack_rows` does. A set of sizes that fills a row is used for as many
    rows as there are items for it. Where lengths lie close together best fit puts the long ones
    side by side and leaves a gap in every row; this finds the short ones that go with them. (A
    minimum bin slack heuristic, Gupta and Ho 1999, on the histogram of sizes.)
    """
    order = np.argsort(-sizes, kind="stable")
    descending, first, count = np.unique(-sizes[order], return_index=True, return_counts=True)
    left = dict(zip((-descending).tolist(), count.tolist(), strict=True))
    next_item = dict(zip((-descending).tolist(), first.tolist(), strict=True))
    result = np.empty(len(sizes), np.int64)
    num_rows = 0
    while left:
        largest = next(iter(left))
        fill = {largest: 1}
        for size, times in _largest_sum(left, capacity - largest, taken=largest).items():
            fill[size] = fill.get(size, 0) + times
        repeats = min(left[size] // times for size, times in fill.items())
        for size, times in fill.items():
            start, stop = next_item[size], next_item[size] + times * repeats
            result[order[start:stop]] = np.repeat(np.arange(num_rows, num_rows + repeats), times)
            next_item[size] = stop
            left[size] -= times * repeats
            if not left[size]:
                del left[size]
        num_rows += repeats
    return result


def _largest_sum(left: dict[int, int], space: int, *, taken: int) -> dict[int, int]:
    """Returns how many of which sizes add up to the most that is not above `space`, or nearly.

    Bit n of an integer says whether sizes looked at so far can add up to n.

    Args:
      left: how many items there are of each size, the largest first.
      space: positions to fill.
      taken: a size of which one item is not there any more.
    """
    enough = space - space // _SLACK
    mask = (1 << (space + 1)) - 1
    sums = 1
    steps = []
    for size, count in left.items():
        if size > space:
            continue
        steps.append((size, sums))
        more = sums
        for _ in range(min(count - (size == taken), space // size)):
            more = (more << size) & mask
            sums |= more
        if sums.bit_length() > enough:
            break
    total = sums.bit_length() - 1
    found: dict[int, int] = {}
    for size, before in reversed(steps):
        while not before >> total & 1:
            total -= size
            found[size] = found.get(size, 0) + 1
    return found


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
