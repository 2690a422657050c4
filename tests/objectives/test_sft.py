"""The supervised loss: sums over weighted positions, whichever of them are projected."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import forward, project_logits
from jaxllm.objectives.sft import SftSettings, sft_loss


@functools.partial(
    jax.jit, static_argnums=1, static_argnames=("loss_capacity", "loss_groups", "settings")
)
def _value_and_grad(params, config, batch, **settings):
    def loss(params):
        total, weight, _ = sft_loss(params, config, batch, **settings)
        return total, weight

    return jax.value_and_grad(loss, has_aux=True)(params)


@pytest.fixture
def batch(tiny_config):
    rng = np.random.default_rng(0)
    shape = (3, 24)
    weights = (rng.random(shape) < 0.3).astype(np.float32) * rng.choice([0.5, 1.0], shape)
    weights[2] = 0
    return {
        "tokens": rng.integers(0, tiny_config.vocab_size, shape, np.int32),
        "targets": rng.integers(0, tiny_config.vocab_size, shape, np.int32),
        "segment_ids": np.ones(shape, np.int32),
        "positions": np.broadcast_to(np.arange(24, dtype=np.int32), shape),
        "loss_weights": weights.astype(np.float32),
    }


def test_sums_not_means(tiny_config, tiny_params, batch):
    names = ("tokens", "positions", "segment_ids")
    run = jax.jit(forward, static_argnums=1)
    hidden = run(tiny_params, tiny_config, *(batch[name] for name in names))
    logprobs = jax.nn.log_softmax(project_logits(tiny_params, tiny_config, hidden))
    picked = np.take_along_axis(np.asarray(logprobs), batch["targets"][..., None], axis=-1)
    wanted = -np.sum(picked[..., 0] * batch["loss_weights"])
    (total, weight), _ = _value_and_grad(tiny_params, tiny_config, batch)
    assert float(total) == pytest.approx(wanted, rel=1e-5)
    assert float(weight) == pytest.approx(batch["loss_weights"].sum())


def test_positions_without_weight_have_no_gradient(tiny_config, tiny_params, batch):
    silent = {**batch, "loss_weights": jnp.zeros_like(batch["loss_weights"])}
    (total, weight), grads = _value_and_grad(tiny_params, tiny_config, silent)
    assert (float(total), float(weight)) == (0.0, 0.0)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_settings_reach_the_loss(tiny_config, tiny_params, batch):
    (plain, weight), _ = _value_and_grad(tiny_params, tiny_config, batch)
    settings = SftSettings(label_smoothing=0.1, z_loss=0.5)
    (other, same), _ = _value_and_grad(tiny_params, tiny_config, batch, settings=settings)
    assert float(other) > float(plain)
    assert float(same) == float(weight)
    for wrong in ({"label_smoothing": 1.0}, {"z_loss": -1e-4}):
        with pytest.raises(UserError, match=f"config.sft.{next(iter(wrong))}"):
            SftSettings(**wrong)
