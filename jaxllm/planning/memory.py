"""What a step holds on one device, counted from abstract arrays.

Shape suffixes: B rows, T positions.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params, forward
from jaxllm.models.partition import combine, leaf_names, partition
from jaxllm.objectives.cross_entropy import chunk_size
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.rules import num_shards
from jaxllm.planning.programs import TrainCall


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device.

    Attributes:
      parameters: weights, trained and frozen.
      optimizer: its moments.
      gradients: those of a micro-batch, and with several of them their sum in float32.
      activations: what the forward pass of a micro-batch keeps for the backward pass.
      logits: one chunk of them with its slopes, and the output projection's gradient.
      batch: the arrays of a step.
    """

    parameters: int
    optimizer: int
    gradients: int
    activations: int
    logits: int
    batch: int

    @property
    def state(self) -> int:
        """What lies there between steps."""
        return self.parameters + self.optimizer

    @property
    def total(self) -> int:
        """All of it; a compiler may find parts that are not needed at the same time."""
        return sum(dataclasses.astuple(self))


def count_memory(call: TrainCall, model: ModelConfig, mesh: Mesh) -> Memory:
    """What the step of `call` holds on one device of `mesh`."""
    accumulation, rows, length = call.batch["tokens"].shape
    trained = call.state["params"]
    gradients = device_bytes(trained)
    if accumulation > 1:
        gradients += device_bytes(jax.tree.map(_in_float32, trained))
    splits = mesh.shape["data"] * mesh.shape["fsdp"]
    share = _share(model, mesh.shape["tensor"])
    # One device stands for all, so that attention is traced for its kind.
    alone = make_mesh(MeshShape(data=1), devices=[mesh.devices.flat[0]])
    with jax.set_mesh(alone):
        activations = _kept(share, call, rows // splits, length)
    with jax.set_mesh(mesh):
        logits = _logits(model, rows, length)
    return Memory(
        parameters=device_bytes(trained) + device_bytes(call.frozen),
        optimizer=device_bytes(call.state["opt_state"]),
        gradients=gradients,
        activations=activations,
        logits=logits,
        batch=device_bytes(call.batch),
    )


def device_bytes(tree: Any) -> int:
    """Bytes of a tree of abstract arrays on one of the devices that they are laid out over."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _logits(model: ModelConfig, rows: int, length: int) -> int:
    """Of one chunk in float32 and its slopes, and the float32 gradient of the whole projection."""
    vocab = model.vocab_size // num_shards("vocab")
    positions = rows // num_shards("batch") * chunk_size(rows, length, model.vocab_size)
    slope = jnp.dtype(model.dtype).itemsize
    return positions * vocab * (4 + slope) + model.hidden_size * vocab * 4


def _in_float32(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, jnp.float32, sharding=leaf.sharding)


def _share(model: ModelConfig, tensor: int) -> ModelConfig:
    """The model whose activations are those of one device along `tensor`."""
    heads = model.num_heads // tensor
    return model.replace(
        num_heads=heads,
        num_kv_heads=model.num_kv_heads // tensor or math.gcd(heads, model.num_kv_heads),
        ffn_size=model.ffn_size // tensor,
    )


def _kept(model: ModelConfig, call: TrainCall, rows: int, length: int) -> int:
    """Bytes that differentiating `forward` by the trained weights keeps, weights left out."""
    params = abstract_params(model)
    names = leaf_names(call.state["params"])
    trained, frozen = partition(params, set(names).__contains__)
    ids = jax.ShapeDtypeStruct((rows, length), jnp.int32)

    def residuals(trained: Any, frozen: Any, tokens_BT: jax.Array) -> Any:
        def hidden(trained: Any) -> jax.Array:
            return forward(combine(trained, frozen), model, tokens_BT, tokens_BT, tokens_BT)

        return jax.vjp(hidden, trained)[1]

    kept = jax.tree.leaves(jax.eval_shape(residuals, trained, frozen, ids))
    weights = collections.Counter((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(params))
    total = 0
    for leaf in kept:
        if weights[leaf.shape, leaf.dtype] > 0:
            weights[leaf.shape, leaf.dtype] -= 1
        else:
            total += leaf.size * leaf.dtype.itemsize
    return total
