"""Contract: a step is the same whether its rows come at once or in micro-batches.

The micro-batches carry unequal numbers of trained tokens, so a mean of means would not do.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from jaxllm.models.decoder import logical_axes
from jaxllm.objectives.optimizer import OptimizerSettings, learning_rate, make_optimizer
from jaxllm.objectives.sft import sft_loss
from jaxllm.objectives.train_state import abstract_state, fresh_state, make_train_step
from jaxllm.parallel.mesh import MeshShape, make_mesh

_ROWS, _LENGTH = 8, 16


def _rows(config):
    rng = np.random.default_rng(0)
    lengths = np.array([16, 15, 2, 3, 9, 1, 0, 0])  # the last rows of a run may be empty
    used = np.arange(_LENGTH) < lengths[:, None]
    rows = {
        "tokens": rng.integers(0, config.vocab_size, (_ROWS, _LENGTH)) * used,
        "targets": rng.integers(0, config.vocab_size, (_ROWS, _LENGTH)) * used,
        "segment_ids": used.astype(int),
        "positions": np.arange(_LENGTH) * used,
    }
    rows = {name: array.astype(np.int32) for name, array in rows.items()}
    return {**rows, "loss_weights": (used * (rng.random(used.shape) < 0.8)).astype(np.float32)}


def _step(config, params, rows, num_micro):
    # A large eps: where a gradient is near zero Adam would blow rounding up to a whole step.
    settings = OptimizerSettings(peak_lr=0.1, schedule="constant", warmup=0.0, eps=1e-2)
    mesh = make_mesh(MeshShape(data=1), devices=jax.devices()[:1])
    with jax.set_mesh(mesh):
        optimizer = make_optimizer(settings, 10, logical_axes(config))
        target = abstract_state(config, optimizer, mesh)
        step = make_train_step(config, optimizer, sft_loss, learning_rate(settings, 10), target)
        layout = jax.tree.map(lambda leaf: leaf.sharding, target["params"])
        state = fresh_state(jax.device_put(params, layout), optimizer, target)
        batch = {
            name: array.reshape(num_micro, _ROWS // num_micro, _LENGTH)
            for name, array in rows.items()
        }
        return jax.device_get(step(state, {}, batch))


def test_accumulation_invariance(tiny_config, tiny_params):
    rows = _rows(tiny_config)
    params = jax.device_get(tiny_params)
    whole, whole_metrics = _step(tiny_config, params, rows, 1)
    parts, part_metrics = _step(tiny_config, params, rows, 4)
    counts = rows["loss_weights"].reshape(4, -1).sum(axis=1)
    assert len(set(counts)) > 2
    assert 0 in counts
    assert set(whole_metrics) == set(part_metrics)
    for name, value in whole_metrics.items():
        assert float(part_metrics[name]) == pytest.approx(float(value), rel=1e-5), name
    assert int(whole_metrics["tokens"]) == rows["segment_ids"].sum()
    moved = jax.tree.map(lambda new, old: np.max(np.abs(new - old)), whole["params"], params)
    assert max(jax.tree.leaves(moved)) > 1e-3
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), parts, whole)
