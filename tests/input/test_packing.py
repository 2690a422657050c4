from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxllm.input.packing import best_fit_rows, ranges, stream_windows


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


@given(
    st.integers(1, 80).flatmap(
        lambda capacity: st.tuples(
            st.just(capacity), st.lists(st.integers(1, capacity), min_size=1, max_size=60)
        )
    )
)
def test_best_fit_fills_rows_as_the_plain_algorithm_does(case) -> None:
    capacity, sizes = case
    rows = best_fit_rows(np.array(sizes), capacity)
    filled = np.bincount(rows, weights=sizes)
    assert filled.max() <= capacity
    assert filled.min() > 0
    assert sorted(filled.astype(int).tolist()) == _slow_best_fit(sizes, capacity)


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
