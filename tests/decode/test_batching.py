"""Which requests share a batch, and how wide it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jaxllm.decode.batching import length_bucket, make_batches

_ROOM = 1 << 40


def test_buckets_hold_their_lengths_with_little_waste():
    sizes = [length_bucket(length) for length in range(1, 5000)]
    for length, size in enumerate(sizes, start=1):
        assert length <= size
        assert size <= max(32, 2 * length if length <= 64 else 1.5 * length)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 15
    assert (length_bucket(32), length_bucket(33), length_bucket(65)) == (32, 64, 96)


def test_every_request_is_in_one_batch_that_fits_it(tiny_config):
    rng = np.random.default_rng(0)
    shapes = [(int(p), int(n)) for p, n in zip(rng.integers(1, 300, 200), rng.integers(1, 70, 200),
                                               strict=True)]  # fmt: skip
    batches = make_batches(shapes, tiny_config, _ROOM, 16)
    members = list(itertools.chain.from_iterable(batch.members for batch in batches))
    assert sorted(members) == list(range(200))
    for batch in batches:
        assert len(batch.members) <= batch.rows <= 16
        assert batch.rows & (batch.rows - 1) == 0
        assert len(batch.members) > batch.rows // 2
        for index in batch.members:
            assert length_bucket(shapes[index][0]) == batch.prompt_slots
            assert length_bucket(shapes[index][1]) == batch.new_slots


# A row of 32 + 32 slots: keys and values of 2 layers with 2 heads of 8, 4 bytes each.
@pytest.mark.parametrize(("rows_of_room", "rows"), [(0.5, 1), (1, 1), (3, 2), (4, 4), (100, 8)])
def test_keys_and_values_stay_within_their_bytes(tiny_config, rows_of_room, rows):
    per_row = 64 * 2 * 2 * 2 * 8 * 4
    batches = make_batches([(20, 20)] * 8, tiny_config, int(per_row * rows_of_room), 64)
    assert {batch.rows for batch in batches} == {rows}
    half = tiny_config.replace(dtype="bfloat16")
    batches = make_batches([(20, 20)] * 8, half, int(per_row * rows_of_room), 64)
    assert batches[0].rows == min(8, max(1, 1 << int(np.log2(2 * rows_of_room))))
