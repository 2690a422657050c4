"""Contract: packing changes the speed of training and nothing else.

A row that holds several examples has the loss and the gradients of the examples alone.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource
from jaxllm.models.decoder import init_params
from jaxllm.objectives.sft import sft_loss

_LENGTHS = (5, 31, 12, 2, 24, 9, 17, 30, 3, 8, 21, 14)
_LEARNED = {"positions": "learned", "norm": "layer", "qkv_bias": True}


@pytest.fixture(scope="module")
def source(tiny_config):
    rng = np.random.default_rng(0)
    offsets = np.cumsum([0, *_LENGTHS])
    weights = rng.choice([0.0, 0.5, 1.0], offsets[-1]).astype(np.float32)
    weights[offsets[1:] - 1] = 1.0
    weights[offsets[:-1]] = 0.0
    return TokenizedSource(
        name="examples",
        ids=rng.integers(0, tiny_config.vocab_size, offsets[-1]).astype(np.int32),
        loss_weights=weights,
        offsets=offsets,
        example_ids=tuple(map(str, range(len(_LENGTHS)))),
        counts=TokenizeCounts(
            read=len(_LENGTHS), kept=len(_LENGTHS), truncated=0, dropped_long=0, dropped_untrained=0
        ),
    )


def _loss(params, config, batch):
    total, weight, _ = sft_loss(params, config, batch)
    return total, weight


def _sums(params, config, source, packing, rows):
    """Loss sum, weight sum and summed gradients of one epoch; and how many rows have tokens."""
    plan = make_plan(
        [plan_source(source)],
        seed=0,
        rows_per_step=rows,
        row_length=48,
        num_epochs=1,
        packing=packing,
    )
    run = jax.jit(jax.value_and_grad(_loss, has_aux=True), static_argnums=1)
    totals, used = None, 0
    for step in range(plan.num_steps):
        batch = make_batch(plan, step, [source])
        used += int(np.any(batch["segment_ids"], axis=1).sum())
        part = run(params, config, batch)
        totals = part if totals is None else jax.tree.map(np.add, totals, part)
    return *totals, used


@pytest.mark.parametrize("change", [{}, _LEARNED], ids=["rope", "learned_positions"])
def test_packed_loss_equals_unpacked(tiny_config, source, change):
    config = tiny_config.replace(**change)
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    (packed, weight), packed_grads, num_packed = _sums(params, config, source, "best_fit", 2)
    (alone, alone_weight), alone_grads, num_alone = _sums(params, config, source, "none", 1)
    assert (num_packed, num_alone) == (4, len(_LENGTHS))
    assert float(weight) == float(alone_weight) == float(source.loss_weights.sum())
    assert float(packed) == pytest.approx(float(alone), rel=1e-5)
    largest = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(alone_grads))
    assert largest > 1
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5 * largest)
    jax.tree.map(close, packed_grads, alone_grads)
