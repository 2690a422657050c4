"""The decode engine's two large programs from shapes alone, for any mesh, without weights.

    sizes = ProgramSizes(rows=256, prompt_slots=512, ring_slots=64, prefix_slots=1024)
    lower_programs(config, mesh, sizes)["step"].compile().memory_analysis()

With a mesh over `jax.experimental.topologies` they compile for a TPU that is not there.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxllm.decode.kernels import pool_slots
from jaxllm.decode.layout import cache_layout, slots_layout
from jaxllm.decode.packed import KeyValues, PackedRows, Prefix, prefill
from jaxllm.decode.slots import Slots, decode, empty_cache, empty_slots
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, abstract_params, logical_axes
from jaxllm.parallel.rules import sharding


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramSizes:
    """What the engine decides from requests and memory: rows, and lengths in tokens.

    Args:
        rows: requests decoded together, over all devices.
        prompt_slots: of a row, for what its prompt has beyond a shared prefix.
        ring_slots: of a row, for its answer.
        prefix_slots: of a shared prefix; the pool has room for two. 0 if none is shared.
        row_length: of the packed row of prompts that each device of the batch gets.
        num_items: prompts in such a row.
        reach: no prompt in it is longer.
    """

    rows: int
    prompt_slots: int
    ring_slots: int
    prefix_slots: int = 0
    row_length: int = 2048
    num_items: int = 16
    reach: int = 512


def lower_programs(
    config: ModelConfig, mesh: Mesh, sizes: ProgramSizes
) -> dict[str, jax.stages.Lowered]:
    """The greedy programs `prefill` and `step` (one call of it makes many steps), to be compiled.

    Args:
        config: `dtype` is that of weights and of keys and values; `attention` names the kernels.

    Raises:
        UserError: rows or weights do not divide over the mesh.
    """
    weights = abstract_params(config.replace(param_dtype=config.dtype))
    params = _params(mesh, weights, logical_axes(config))
    with jax.set_mesh(mesh):
        return {
            "prefill": _lower_prefill(params, config, mesh, sizes),
            "step": _lower_step(params, config, mesh, sizes),
        }


def _lower_prefill(
    params: Params, config: ModelConfig, mesh: Mesh, sizes: ProgramSizes
) -> jax.stages.Lowered:
    rows = mesh.shape["data"] * mesh.shape["fsdp"]

    def integers(length: int) -> Any:
        return _placed(mesh, jax.ShapeDtypeStruct((rows, length), jnp.int32), "batch")

    along, picks = integers(sizes.row_length), integers(sizes.num_items)
    prefix = None
    if sizes.prefix_slots:
        shared = _cache(config, (), sizes.prefix_slots)
        shared = jax.tree.map(_laid_out, shared, cache_layout(mesh, shared))
        prefix = Prefix(shared, _number(mesh))
    # The engine runs it a layer at a time; as one program all of it is counted at once.
    whole = jax.jit(prefill, static_argnames=("config", "reach", "cache_dtype", "vocab_size"))
    return whole.lower(
        params,
        config,
        PackedRows(along, along, along, picks),
        prefix,
        None,
        reach=sizes.reach,
        cache_dtype=config.dtype,
        vocab_size=config.vocab_size,
    )


def _lower_step(
    params: Params, config: ModelConfig, mesh: Mesh, sizes: ProgramSizes
) -> jax.stages.Lowered:
    def empty() -> Slots:
        return empty_slots(
            config,
            rows=sizes.rows,
            prompt_slots=sizes.prompt_slots,
            ring_slots=sizes.ring_slots,
            num_end_ids=1,
            cache_dtype=config.dtype,
            sampling=None,
        )

    slots = jax.eval_shape(empty)
    slots = jax.tree.map(_laid_out, slots, slots_layout(mesh, slots))
    pool = None
    if sizes.prefix_slots:
        pool_size = pool_slots(config, 2 * sizes.prefix_slots)
        pool = _cache(config, (), pool_size)
        pool = jax.tree.map(_laid_out, pool, cache_layout(mesh, pool))
    return decode.lower(
        params,
        config,
        slots,
        pool,
        _number(mesh),
        _number(mesh),
        min_steps=8,
        vocab_size=config.vocab_size,
    )


def _params(mesh: Mesh, weights: Params, axes: Params) -> Params:
    params = jax.tree.map(lambda leaf, names: _placed(mesh, leaf, *names), weights, axes)

    def of_one_layer(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        one = jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
        return _laid_out(one, NamedSharding(mesh, PartitionSpec(*leaf.sharding.spec[1:])))

    layer = jax.tree.map(of_one_layer, params["blocks"])
    return {**params, "blocks": [layer] * jax.tree.leaves(params["blocks"])[0].shape[0]}


def _cache(config: ModelConfig, rows: tuple[int, ...], slots: int) -> KeyValues:
    return jax.eval_shape(lambda: empty_cache(config, rows, slots, config.dtype))


def _number(mesh: Mesh) -> Any:
    return _placed(mesh, jax.ShapeDtypeStruct((), jnp.int32))


def _placed(mesh: Mesh, tree: Any, *axes: str | None) -> Any:
    """Every array of a tree on the mesh; its first axes are `axes`, as far as it has so many."""

    def place(leaf: Any) -> jax.ShapeDtypeStruct:
        names = (*axes, *(None,) * leaf.ndim)[: leaf.ndim]
        return _laid_out(leaf, sharding(mesh, names, leaf.shape))

    return jax.tree.map(place, tree)


def _laid_out(leaf: jax.ShapeDtypeStruct, layout: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout)
