from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxllm.input.order import (
    SourceOrder,
    draws_per_epoch,
    epoch_draws,
    keyed_permutation,
    source_draws,
)


def test_keyed_permutation_is_what_it_was() -> None:
    # A run resumed by a later release must see the order it began with.
    assert keyed_permutation(8, 0, "source", "a", 0).tolist() == [4, 0, 6, 2, 5, 3, 1, 7]


def test_keyed_permutation_changes_with_every_part_of_the_key() -> None:
    orders = {
        tuple(keyed_permutation(50, *key))
        for key in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    }
    assert len(orders) == 4


@given(
    size=st.integers(1, 20),
    start=st.integers(0, 60),
    count=st.integers(0, 60),
)
def test_source_draws_of_a_stretch_are_part_of_the_whole(size, start, count) -> None:
    for shuffle in (True, False):
        source = SourceOrder(name="s", size=size, draws=size, shuffle=shuffle)
        whole = source_draws(source, seed=3, start=0, count=start + count).tolist()
        assert source_draws(source, seed=3, start=start, count=count).tolist() == whole[start:]


def test_source_draws_pass_over_everything_before_they_repeat() -> None:
    source = SourceOrder(name="s", size=7, draws=7)
    draws = source_draws(source, seed=0, start=0, count=21).reshape(3, 7)
    assert (np.sort(draws) == np.arange(7)).all()
    assert len({tuple(row) for row in draws}) == 3


def test_draws_per_epoch_without_weights_is_size_times_repeat() -> None:
    assert draws_per_epoch([10, 3], [1, 16], [None, None]) == [10, 48]


def test_draws_per_epoch_shares_out_among_the_weighted_alone() -> None:
    # jnli once, mine four times as often, and a corpus of safety sixteen times over.
    assert draws_per_epoch([100, 50, 3], [1, 1, 16], [1.0, 4.0, None]) == [30, 120, 48]


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0.01, 100)), min_size=1, max_size=6))
def test_draws_per_epoch_shares_out_by_weight(sources) -> None:
    sizes, weights = zip(*sources, strict=True)
    counts = draws_per_epoch(sizes, [1] * len(sizes), weights)
    assert sum(counts) == sum(sizes)
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - sum(sizes) * weight / sum(weights)) < 1


def test_every_stretch_of_an_epoch_holds_the_mixture() -> None:
    sizes = {"a": 600, "b": 300, "c": 100}
    sources = [SourceOrder(name=name, size=size, draws=size) for name, size in sizes.items()]
    draws = epoch_draws(sources, seed=0, epoch=0)
    source = np.searchsorted([600, 900], draws, side="right")
    assert np.sort(draws).tolist() == list(range(1000))
    for start in range(0, 1000, 50):
        counts = np.bincount(source[start : start + 50], minlength=3)
        assert np.abs(counts - [30, 15, 5]).max() <= 1


def test_epochs_differ_and_unmixed_sources_follow_one_another() -> None:
    sources = [SourceOrder(name="a", size=4, draws=8), SourceOrder(name="b", size=4, draws=4)]
    first, second = (epoch_draws(sources, seed=0, epoch=e, mixed=False) for e in (0, 1))
    assert first.tolist() != second.tolist()
    assert np.sort(first).tolist() == sorted([0, 1, 2, 3] * 2 + [4, 5, 6, 7])
    assert (first[:8] < 4).all()
    assert (first[8:] >= 4).all()


def test_a_source_that_is_not_shuffled_keeps_its_order_in_every_pass() -> None:
    sources = [
        SourceOrder(name="a", size=3, draws=6, shuffle=False),
        SourceOrder(name="b", size=2, draws=2),
    ]
    for epoch in (0, 1):
        draws = epoch_draws(sources, seed=0, epoch=epoch, mixed=False)
        assert draws[:6].tolist() == [0, 1, 2, 0, 1, 2]
        assert sorted(draws[6:].tolist()) == [3, 4]


@pytest.mark.parametrize("size", [0, 1])
def test_keyed_permutation_of_next_to_nothing(size) -> None:
    assert keyed_permutation(size, "k").tolist() == list(range(size))
