"""The order and the shapes of prefills."""

from __future__ import annotations

import numpy as np
import pytest

from jaxllm.decode.schedule import make_schedule, size_bucket


def test_buckets_hold_their_lengths_with_little_waste():
    sizes = [size_bucket(length) for length in range(1, 5000)]
    for length, size in enumerate(sizes, start=1):
        assert length <= size <= max(length + 15, 1.25 * length)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) < 50
    assert all(size_bucket(size) == size for size in sizes)


def _schedule(lengths, caps, **changes):
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(1, 10**6, length).tolist()) for length in lengths]
    settings = {"row_length": 512, "num_rows": 1, "max_items": 32, "together": 16} | changes
    return make_schedule(prompts, caps, **settings)


@pytest.mark.parametrize("num_rows", [1, 4])
def test_every_request_is_prefilled_once_with_little_padding(num_rows):
    rng = np.random.default_rng(1)
    lengths = rng.integers(20, 400, 300)
    plans = _schedule(lengths, [8] * 300, num_rows=num_rows)
    assert sorted(item.index for plan in plans for item in plan.items) == list(range(300))
    for plan in plans:
        assert len(plan.rows) == num_rows
        for row in plan.rows:
            assert sum(item.own for item in row) <= plan.length <= 512
        assert all(item.own == lengths[item.index] <= plan.reach for item in plan.items)
    positions = sum(plan.length * num_rows for plan in plans)
    assert positions < 1.05 * lengths.sum() + num_rows * 512


def test_a_prompt_longer_than_a_row_has_its_own():
    plans = _schedule([2000, 30, 40], [4, 4, 4])
    assert [len(plan.items) for plan in plans] == [1, 2]
    assert plans[0].length == 2048


def test_long_prompts_go_first_and_long_answers_first_among_their_like():
    lengths, caps = [100] * 32 + [200] * 32, list(range(64))
    order = [item for plan in _schedule(lengths, caps, together=32) for item in plan.items]
    owns = [item.own for item in order]
    # The gap of a row may be filled with a short one early.
    assert np.mean(owns[:24]) > np.mean(owns[-24:])
    long_ones = [item.cap for item in order if item.own == 200]
    assert long_ones == sorted(long_ones, reverse=True)


def test_of_a_group_s_last_requests_the_longest_answers_begin_first():
    """Rows that end early have short answers left to take, and all end about together."""
    rng = np.random.default_rng(2)
    lengths, caps = rng.integers(20, 400, 128), rng.integers(1, 60, 128).tolist()
    plans = _schedule(lengths, caps, together=32, max_items=1)
    order = [item for plan in plans for item in plan.items]
    last = [item.cap for item in order[-64:]]
    assert last == sorted(last, reverse=True)
    assert max(item.own for item in order[-64:]) <= min(item.own for item in order[:64])
