from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxllm.input.packing import (
    best_fit_rows,
    exact_fit_rows,
    pack_rows,
    ranges,
    stream_windows,
)


def _slow_best_fit(sizes: list[int], capacity: int) -> list[int]:
    """How full best-fit decreasing leaves its rows, by looking at every row."""
    spaces: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [space for space in spaces if space >= size]
        if fitting:
            spaces[spaces.index(min(fitting))] -= size
        else:
            spaces.append(capacity - size)
    return sorted(capacity - space for space in spaces)


_ITEMS = st.integers(1, 80).flatmap(
    lambda capacity: st.tuples(
        st.just(capacity), st.lists(st.integers(1, capacity), min_size=1, max_size=60)
    )
)


@given(_ITEMS)
def test_best_fit_fills_rows_as_the_plain_algorithm_does(case) -> None:
    capacity, sizes = case
    rows = best_fit_rows(np.array(sizes), capacity)
    filled = np.bincount(rows, weights=sizes)
    assert filled.max() <= capacity
    assert filled.min() > 0
    assert sorted(filled.astype(int).tolist()) == _slow_best_fit(sizes, capacity)


def _fullest(sizes: list[int], space: int) -> int:
    """The most that a choice of the items adds up to within a space."""
    sums = {0}
    for size in sizes:
        sums |= {total + size for total in sums if total + size <= space}
    return max(sums)


@given(_ITEMS)
def test_exact_fit_fills_each_row_as_far_as_what_is_left_allows(case) -> None:
    capacity, sizes = case
    rows = exact_fit_rows(np.array(sizes), capacity)
    filled = np.bincount(rows, weights=sizes).astype(int)
    assert filled.min() > 0
    left = sorted(sizes)
    for row in range(len(filled)):  # rows are numbered as they are filled
        mine = [size for size, place in zip(sizes, rows.tolist(), strict=True) if place == row]
        largest = left.pop()
        assert max(mine) == largest
        assert filled[row] == largest + _fullest(left, capacity - largest)
        mine.remove(largest)
        for size in mine:
            left.remove(size)
    assert not left


@given(_ITEMS)
def test_pack_rows_takes_what_needs_fewer_rows(case) -> None:
    capacity, sizes = case
    items = np.array(sizes)
    rows = pack_rows(items, capacity)
    assert np.bincount(rows, weights=sizes).max() <= capacity
    fewest = min(best_fit_rows(items, capacity).max(), exact_fit_rows(items, capacity).max())
    assert rows.max() == fewest or sum(sizes) >= 0.99 * capacity * (rows.max() + 1)


def test_lengths_that_lie_close_together_fill_rows_too() -> None:
    # The questions of a classification task: best fit leaves 6 % of rows of 512 empty.
    sizes = 100 + np.arange(4000, dtype=np.int64) * 2654435761 % 2**32 % 57
    assert best_fit_rows(sizes, 512).max() + 1 > 1.05 * sizes.sum() / 512
    assert pack_rows(sizes, 512).max() + 1 < 1.03 * sizes.sum() / 512


def test_best_fit_takes_the_fullest_row_that_fits() -> None:
    assert best_fit_rows(np.array([6, 5, 5, 4]), 10).tolist() == [0, 1, 1, 0]
    assert best_fit_rows(np.array([6, 7, 3]), 10).tolist() == [1, 0, 0]
    assert best_fit_rows(np.array([10, 1, 9]), 10).tolist() == [0, 1, 1]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(2, 12))
def test_stream_windows_cut_the_stream_as_slicing_does(lengths, window) -> None:
    owners = np.repeat(np.arange(len(lengths)), lengths)
    inside = np.concatenate([np.arange(length) for length in lengths])
    first, last, skips = stream_windows(np.array(lengths), window)
    assert len(first) == len(owners) // window
    for i in range(len(first)):
        stretch = slice(i * window, (i + 1) * window)
        assert (first[i], last[i]) == (owners[stretch][0], owners[stretch][-1])
        assert skips[i] == inside[stretch][0]


@pytest.mark.parametrize(
    ("starts", "counts", "expected"),
    [([], [], []), ([5], [0], []), ([5, 0, 9], [2, 0, 3], [5, 6, 9, 10, 11])],
)
def test_ranges(starts, counts, expected) -> None:
    assert ranges(np.array(starts, int), np.array(counts, int)).tolist() == expected
