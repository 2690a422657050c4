"""Contract: to project only the positions that carry loss changes no loss and no gradient.

The plain loss has logits for every position; gathered ones are taken row by row, or from groups of
rows that share what they may take.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models.decoder import forward, project_logits
from jaxllm.objectives import cross_entropy
from jaxllm.objectives.sft import sft_loss

_ROWS, _LENGTH = 4, 24


@pytest.fixture(scope="module")
def batch(tiny_config):
    rng = np.random.default_rng(0)
    shape = (_ROWS, _LENGTH)
    share = np.array([0.9, 0.1, 0.0, 0.3])[:, None]
    weights = (rng.random(shape) < share) * rng.choice([0.5, 1.0], shape)
    return {
        "tokens": rng.integers(0, tiny_config.vocab_size, shape, np.int32),
        "targets": rng.integers(0, tiny_config.vocab_size, shape, np.int32),
        "segment_ids": np.ones(shape, np.int32),
        "positions": np.broadcast_to(np.arange(_LENGTH, dtype=np.int32), shape),
        "loss_weights": weights.astype(np.float32),
    }


def _plain(params, config, batch):
    hidden = forward(params, config, batch["tokens"], batch["positions"], batch["segment_ids"])
    log_probs = jax.nn.log_softmax(project_logits(params, config, hidden))
    aim = jnp.take_along_axis(log_probs, batch["targets"][..., None], axis=-1)[..., 0]
    return -jnp.sum(aim * batch["loss_weights"])


def _gathered(params, config, batch, **settings):
    return sft_loss(params, config, batch, **settings)[0]


@pytest.mark.parametrize("groups", [4, 2, 1])
def test_gathered_logits_equal_plain(tiny_config, tiny_params, batch, monkeypatch, groups):
    # Two positions of a group at a time.
    monkeypatch.setattr(cross_entropy, "_MAX_CHUNK_LOGITS", 2 * groups * tiny_config.vocab_size)
    trained = (batch["loss_weights"] > 0).reshape(groups, -1)
    capacity = int(trained.sum(axis=1).max())
    assert 2 < capacity < trained.shape[1]

    def run(loss):
        return jax.jit(jax.value_and_grad(lambda params: loss(params, tiny_config, batch)))(
            tiny_params
        )

    wanted, wanted_grads = run(_plain)
    for settings in ({}, {"loss_capacity": capacity, "loss_groups": groups}):
        value, grads = run(functools.partial(_gathered, **settings))
        assert float(value) == pytest.approx(float(wanted), rel=1e-5)
        jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), grads, wanted_grads)
    # One position less is one loss less: the capacity is what bounds them.
    less, _ = run(functools.partial(_gathered, loss_capacity=capacity - 1, loss_groups=groups))
    assert float(less) < float(wanted) - 0.1
