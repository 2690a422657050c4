"""The train state and the step that advances it.

The state is a plain nested dict: `params` (the weights that are trained, and only they),
`opt_state` and `step` (int32 scalar). Frozen weights stand beside it: the step reads them and
gives none of them up.

Shape suffixes: A micro-batches, B rows, T positions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, abstract_params, init_params, logical_axes
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import combine, partition
from jaxllm.parallel.placement import place
from jaxllm.parallel.rules import shardings

State = dict[str, Any]
Batch = dict[str, jax.Array]
# (params, config, batch) -> (loss sum, weight, sums to log): float32 scalars summed over a batch,
# so that those of micro-batches add up. `params` holds trained and frozen weights together.
Loss = Callable[[Params, ModelConfig, Batch], tuple[jax.Array, jax.Array, dict[str, jax.Array]]]


def abstract_state(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    is_trained: Callable[[str], bool] = lambda name: True,
) -> State:
    """The state as `jax.ShapeDtypeStruct`s with shardings: what a restore aims at.

    Optimizer moments of a weight's shape lie like that weight; everything else is replicated.
    `is_trained` says of a weight's dotted name whether it is part of the state.
    """
    params = abstract_params(config)
    layout = shardings(mesh, logical_axes(config), params)
    params, _ = partition(jax.tree.map(laid_out, params, layout), is_trained)
    replicated = NamedSharding(mesh, PartitionSpec())

    def placed(moment: Any, weight: jax.ShapeDtypeStruct) -> Any:
        if _is_masked(moment):
            return moment
        layout = weight.sharding if moment.shape == weight.shape else replicated
        return laid_out(moment, layout)

    opt_state = optax.tree_utils.tree_map_params(
        optimizer,
        placed,
        jax.eval_shape(optimizer.init, params),
        params,
        transform_non_params=lambda leaf: laid_out(leaf, replicated),
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


def fresh_adapters(config: ModelConfig, mesh: Mesh, seed: int) -> Params:
    """The adapters of `config.lora` as they begin, without effect, born on their shards."""
    layout = shardings(mesh, logical_axes(config), abstract_params(config))
    layout, _ = partition(layout, is_adapter)

    def init(key: jax.Array) -> Params:
        return partition(init_params(config, key), is_adapter)[0]

    return jax.jit(init, out_shardings=layout)(jax.random.key(seed))


def fresh_state(params: Params, optimizer: optax.GradientTransformation, target: State) -> State:
    """The state of step 0 around given weights; `target` is its `abstract_state`."""
    layout = jax.tree.map(lambda leaf: leaf.sharding, target["opt_state"])
    opt_state = jax.jit(optimizer.init, out_shardings=layout)(params)
    step = place(np.int32(0), target["step"].sharding)
    return {"params": params, "opt_state": opt_state, "step": step}


def make_train_step(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    schedule: optax.Schedule,
    target: State,
    *,
    prepare: Callable[[Batch], Batch] = lambda batch: batch,
    seed: int = 0,
) -> Callable[[State, Params, Batch], tuple[State, dict[str, jax.Array]]]:
    """A compiled `(state, frozen, batch) -> (state, metrics)`; the old state's memory is given up.

    The loss gets the weights of the state and of `frozen` as one tree, and is differentiated by
    those of the state alone. The batch holds arrays [A, B, T]. Gradients of the A micro-batches
    are summed and divided once by the weight of all of them, so that the number of micro-batches
    changes nothing; so are the sums the loss wants logged.

    Args:
        prepare: what has to see all micro-batches together; the loss gets its result, cut up.
        seed: of what adapters drop. Where they do, a batch has a `dropout_key` for each part, which
            follows from seed and step.
    """
    drops = config.lora is not None and config.lora.dropout > 0

    def step(state: State, frozen: Params, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        params, batch = state["params"], prepare(batch)
        if drops:
            key = jax.random.fold_in(jax.random.key(seed), state["step"])
            batch = {**batch, "dropout_key": jax.random.split(key, len(batch["tokens"]))}

        def sums(params: Params, part: Batch) -> tuple[jax.Array, Any]:
            loss_sum, *rest = loss(combine(params, frozen), config, part)
            return loss_sum, tuple(rest)

        gradient = jax.value_and_grad(sums, has_aux=True)

        def micro(total: Any, part: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, gradient(params, part)), None

        first = jax.tree.map(lambda array: array[0], batch)
        if len(batch["tokens"]) == 1:
            total = gradient(params, first)
        else:
            like = jax.eval_shape(gradient, params, first)
            start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), like)
            total, _ = jax.lax.scan(micro, start, batch)
        (loss_sum, (weight, extras)), grads = total
        scale = 1.0 / jnp.maximum(weight, 1e-9)
        grads = jax.tree.map(lambda grad: grad * scale, grads)
        updates, opt_state = optimizer.update(grads, state["opt_state"], params)
        metrics = {
            "loss": loss_sum * scale,
            **{name: value * scale for name, value in extras.items()},
            "weight": weight,
            "trained_tokens": jnp.sum(batch["loss_weights"]),
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


def laid_out(leaf: jax.ShapeDtypeStruct, layout: NamedSharding) -> jax.ShapeDtypeStruct:
    """The same abstract array, laid out."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout)
