"""Contract: an epoch's packed rows hold every token of every example once, in its own segment."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource


def _source(name: str, num_examples: int, rng: np.random.Generator) -> TokenizedSource:
    lengths = np.clip(rng.lognormal(3.2, 0.9, num_examples).astype(int), 2, 129)
    offsets = np.cumsum([0, *lengths])
    return TokenizedSource(
        name=name,
        ids=rng.integers(1, 1000, offsets[-1]).astype(np.int32),
        loss_weights=rng.integers(0, 2, offsets[-1]).astype(np.float32),
        offsets=offsets,
        example_ids=tuple(map(str, range(num_examples))),
        counts=TokenizeCounts(
            read=num_examples, kept=num_examples, truncated=0, dropped_long=0, dropped_untrained=0
        ),
    )


def _segments(batch: dict[str, np.ndarray]):
    """Yields (token ids, loss weights) of each segment, put together again from a batch."""
    for row in range(len(batch["tokens"])):
        segment_ids = batch["segment_ids"][row]
        for segment in range(1, segment_ids.max() + 1):
            (places,) = np.nonzero(segment_ids == segment)
            assert np.array_equal(np.diff(places), np.ones(len(places) - 1))
            assert batch["positions"][row, places].tolist() == list(range(len(places)))
            tokens, targets = batch["tokens"][row, places], batch["targets"][row, places]
            assert np.array_equal(tokens[1:], targets[:-1])
            weights = batch["loss_weights"][row, places]
            yield (*tokens.tolist(), int(targets[-1])), tuple(weights.tolist())


@pytest.mark.parametrize("packing", ["best_fit", "none"])
def test_packed_rows_hold_every_token(packing: str) -> None:
    rng = np.random.default_rng(0)
    sources = [_source("a", 700, rng), _source("b", 90, rng)]
    repeats = [1, 3]
    plan = make_plan(
        [plan_source(s, repeat=r) for s, r in zip(sources, repeats, strict=True)],
        seed=0,
        rows_per_step=8,
        row_length=128,
        num_epochs=2,
        packing=packing,
    )
    found: Counter = Counter()
    for step in range(plan.num_steps):
        batch = make_batch(plan, step, sources)
        padding = batch["segment_ids"] == 0
        assert not any(array[padding].any() for array in batch.values())
        found.update(_segments(batch))
    expected: Counter = Counter()
    for source, repeat in zip(sources, repeats, strict=True):
        for begin, end in zip(source.offsets, source.offsets[1:], strict=False):
            ids = tuple(source.ids[begin:end].tolist())
            weights = tuple(source.loss_weights[begin + 1 : end].tolist())
            expected[ids, weights] += 2 * repeat
    assert found == expected
