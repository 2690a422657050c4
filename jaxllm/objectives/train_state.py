"""The train state and the step that advances it.

The state is a plain nested dict: `params`, `opt_state` and `step` (int32 scalar).

Shape suffixes: A micro-batches, B rows, T positions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, abstract_params, init_params, logical_axes
from jaxllm.parallel.rules import shardings

State = dict[str, Any]
Loss = Callable[[Params, ModelConfig, dict[str, jax.Array]], tuple[jax.Array, jax.Array]]


def abstract_state(
    config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh
) -> State:
    """The state as `jax.ShapeDtypeStruct`s with shardings: what a restore aims at.

    Optimizer moments lie like the weight they belong to; everything else is replicated.
    """
    params = abstract_params(config)
    layout = shardings(mesh, logical_axes(config), params)
    params = jax.tree.map(_with_sharding, params, layout)
    replicated = NamedSharding(mesh, PartitionSpec())
    opt_state = optax.tree_utils.tree_map_params(
        optimizer,
        lambda leaf, like: leaf if _is_masked(leaf) else _with_sharding(leaf, like.sharding),
        jax.eval_shape(optimizer.init, params),
        params,
        transform_non_params=lambda leaf: _with_sharding(leaf, replicated),
        is_leaf=_is_masked,
    )
    step = jax.ShapeDtypeStruct((), jnp.int32, sharding=replicated)
    return {"params": params, "opt_state": opt_state, "step": step}


def _is_masked(node: object) -> bool:
    """Whether this is the place of a weight that another part of the optimizer takes care of."""
    return isinstance(node, optax.MaskedNode)


def fresh_params(config: ModelConfig, mesh: Mesh, seed: int) -> Params:
    """Initial weights, born on their shards."""
    layout = shardings(mesh, logical_axes(config), abstract_params(config))
    init = jax.jit(functools.partial(init_params, config), out_shardings=layout)
    return init(jax.random.key(seed))


def fresh_state(params: Params, optimizer: optax.GradientTransformation, target: State) -> State:
    """The state of step 0 around given weights; `target` is its `abstract_state`."""
    layout = jax.tree.map(lambda leaf: leaf.sharding, target["opt_state"])
    opt_state = jax.jit(optimizer.init, out_shardings=layout)(params)
    step = jax.device_put(jnp.int32(0), target["step"].sharding)
    return {"params": params, "opt_state": opt_state, "step": step}


def make_train_step(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    schedule: optax.Schedule,
    target: State,
) -> Callable[[State, dict[str, jax.Array]], tuple[State, dict[str, jax.Array]]]:
    """A compiled `(state, batch) -> (state, metrics)`; the old state's memory is given up.

    The batch holds arrays [A, B, T]. Gradients of the A micro-batches are summed and divided once
    by the loss weight of all of them, so that the number of micro-batches changes nothing.
    """

    def step(state: State, batch: dict[str, jax.Array]) -> tuple[State, dict[str, jax.Array]]:
        params = state["params"]
        gradient = jax.value_and_grad(lambda p, part: loss(p, config, part), has_aux=True)

        def micro(carry, part):
            (loss_sum, weight), grads = gradient(params, part)
            return jax.tree.map(jnp.add, carry, (loss_sum, weight, grads)), None

        if batch["tokens"].shape[0] == 1:
            only = jax.tree.map(lambda array: array[0], batch)
            (loss_sum, weight), grads = gradient(params, only)
        else:
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), params)
            start = (jnp.float32(0), jnp.float32(0), zeros)
            (loss_sum, weight, grads), _ = jax.lax.scan(micro, start, batch)
        scale = 1.0 / jnp.maximum(weight, 1e-9)
        grads = jax.tree.map(lambda grad: grad * scale, grads)
        updates, opt_state = optimizer.update(grads, state["opt_state"], params)
        metrics = {
            "loss": loss_sum * scale,
            "trained_tokens": weight,
            "tokens": jnp.sum(batch["segment_ids"] > 0),
            "grad_norm": optax.tree.norm(grads),
            "learning_rate": jnp.asarray(schedule(state["step"]), jnp.float32),
        }
        return {
            "params": optax.apply_updates(params, updates),
            "opt_state": opt_state,
            "step": state["step"] + 1,
        }, metrics

    layout = jax.tree.map(lambda leaf: leaf.sharding, target)
    return jax.jit(step, out_shardings=(layout, None), donate_argnums=0)


def _with_sharding(leaf: jax.ShapeDtypeStruct, layout: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout)
