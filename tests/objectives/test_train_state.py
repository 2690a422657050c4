"""The state and one step of it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxllm.models.decoder import abstract_params, logical_axes
from jaxllm.models.partition import leaf_names, partition
from jaxllm.objectives.optimizer import OptimizerSettings, learning_rate, make_optimizer
from jaxllm.objectives.sft import sft_loss
from jaxllm.objectives.train_state import (
    abstract_state,
    fresh_params,
    fresh_state,
    make_train_step,
)
from jaxllm.parallel.mesh import MeshShape, make_mesh

_SETTINGS = OptimizerSettings(peak_lr=1e-2, warmup=2)


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshShape(data=2, fsdp=2, tensor=2))


def _batch(config, rows=4):
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (1, rows, 17), np.int32)
    return {
        "tokens": tokens[..., :-1],
        "targets": tokens[..., 1:],
        "segment_ids": np.ones((1, rows, 16), np.int32),
        "positions": np.broadcast_to(np.arange(16, dtype=np.int32), (1, rows, 16)),
        "loss_weights": np.ones((1, rows, 16), np.float32),
    }


@pytest.mark.parametrize("name", ["adamw", "lion", "muon", "adafactor"])
def test_the_state_is_born_as_its_target_says(tiny_config, mesh, name):
    settings = dataclasses.replace(_SETTINGS, name=name)
    optimizer = make_optimizer(settings, 10, logical_axes(tiny_config))
    target = abstract_state(tiny_config, optimizer, mesh)
    assert jax.tree.structure(target["params"]) == jax.tree.structure(abstract_params(tiny_config))
    state = fresh_state(fresh_params(tiny_config, mesh, 0), optimizer, target)

    def described(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding.spec), tree)

    assert described(state) == described(target)
    kernel = target["params"]["blocks"]["mlp"]["up"]["kernel"]
    moments = [leaf for leaf in jax.tree.leaves(target["opt_state"]) if leaf.shape == kernel.shape]
    assert moments
    for moment in moments:
        assert moment.sharding == kernel.sharding
        assert not moment.sharding.is_fully_replicated


def test_steps_are_adamw_on_the_mean_loss_and_lower_it(tiny_config):
    mesh = make_mesh(MeshShape(data=1), devices=jax.devices()[:1])
    schedule = learning_rate(_SETTINGS, 10)
    with jax.set_mesh(mesh):
        optimizer = make_optimizer(_SETTINGS, 10, logical_axes(tiny_config))
        target = abstract_state(tiny_config, optimizer, mesh)
        state = fresh_state(fresh_params(tiny_config, mesh, 0), optimizer, target)
        step = make_train_step(tiny_config, optimizer, sft_loss, schedule, target)
        batch = _batch(tiny_config)
        params = jax.tree.map(jnp.copy, state["params"])
        opt_state = optimizer.init(params)

        @jax.jit
        def by_hand(params, opt_state):
            def mean(params):
                total, weight, _ = sft_loss(
                    params, tiny_config, {name: array[0] for name, array in batch.items()}
                )
                return total / weight

            loss, grads = jax.value_and_grad(mean)(params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, loss, optax.tree.norm(grads)

        losses = []
        for index in range(4):
            state, metrics = step(state, {}, batch)
            params, opt_state, loss, norm = by_hand(params, opt_state)
            assert float(metrics["loss"]) == pytest.approx(float(loss), rel=1e-4)
            assert float(metrics["grad_norm"]) == pytest.approx(float(norm), rel=1e-3)
            assert float(metrics["learning_rate"]) == pytest.approx(float(schedule(index)))
            assert (int(metrics["tokens"]), float(metrics["trained_tokens"])) == (64, 64.0)
            assert int(state["step"]) == index + 1
            losses.append(float(loss))
    # The first step has a rate of 0, so the second sees the same loss.
    assert losses[1] == pytest.approx(losses[0])
    assert losses[3] < losses[0]


def test_frozen_weights_reach_the_loss_and_nothing_else(tiny_config):
    mesh = make_mesh(MeshShape(data=1), devices=jax.devices()[:1])
    schedule = learning_rate(_SETTINGS, 10)

    def is_trained(name):
        return name.startswith("blocks.mlp.")

    def loss(params, config, batch):
        total, weight, _ = sft_loss(params, config, batch)
        return total, weight, {"twice": 2 * total, "reference": weight * params["reference"]}

    with jax.set_mesh(mesh):
        axes, _ = partition(logical_axes(tiny_config), is_trained)
        optimizer = make_optimizer(_SETTINGS, 10, axes)
        target = abstract_state(tiny_config, optimizer, mesh, is_trained)
        trained, frozen = partition(fresh_params(tiny_config, mesh, 0), is_trained)
        frozen = {**frozen, "reference": jnp.float32(7)}
        kept = jax.device_get(frozen)
        state = fresh_state(trained, optimizer, target)
        assert len(jax.tree.leaves(state["opt_state"])) < 3 * len(jax.tree.leaves(trained)) + 4
        before = jax.device_get(state["params"])
        step = make_train_step(tiny_config, optimizer, loss, schedule, target)
        batch = _batch(tiny_config)
        for _ in range(3):
            state, metrics = step(state, frozen, batch)
    assert leaf_names(state["params"]) == leaf_names(before)
    assert jax.tree.all(jax.tree.map(np.array_equal, jax.device_get(frozen), kept))
    same = jax.tree.map(np.array_equal, jax.device_get(state["params"]), before)
    assert not any(jax.tree.leaves(same))
    assert float(metrics["twice"]) == pytest.approx(2 * float(metrics["loss"]), rel=1e-6)
    assert float(metrics["reference"]) == pytest.approx(7)
