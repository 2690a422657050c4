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
from jax.sharding import Mesh

from jaxllm.decode.kernels import pool_slots
from jaxllm.decode.packed import PackedRows, Prefix, prefill
from jaxllm.decode.slots import decode, empty_cache, empty_slots
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params, logical_axes
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
    """The greedy programs `prefill` and `step` (one call of it decodes many), to be compiled.

    Args:
        config: `dtype` is that of weights and of keys and values; `attention` names the kernels.

    Raises:
        UserError: rows or weights do not divide over the mesh.
    """

    def placed(tree: Any, axes: tuple[str | None, ...]) -> Any:
        """Arrays whose first axes are `axes`; their others are whole."""

        def leaf_placed(leaf: Any) -> jax.ShapeDtypeStruct:
            names = (*axes, *(None,) * leaf.ndim)[: leaf.ndim]
            layout = sharding(mesh, names, leaf.shape)
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout)

        return jax.tree.map(leaf_placed, tree)

    def cache(rows: tuple[int, ...], slots: int) -> Any:
        return jax.eval_shape(lambda: empty_cache(config, rows, slots, config.dtype))

    weights = abstract_params(config.replace(param_dtype=config.dtype))
    params = jax.tree.map(placed, weights, logical_axes(config))
    num_layers, row_axes = config.num_layers, ("batch", "kv_heads")

    # ---- Prefill -----------------------------------------------------------------------------
    packed_rows = mesh.shape["data"] * mesh.shape["fsdp"]
    along = jax.ShapeDtypeStruct((packed_rows, sizes.row_length), jnp.int32)
    picks = jax.ShapeDtypeStruct((packed_rows, sizes.num_items), jnp.int32)
    packed = placed(PackedRows(along, along, along, picks), ("batch",))
    one_number = placed(jax.ShapeDtypeStruct((), jnp.int32), ())
    prefix = pool = None
    if sizes.prefix_slots:
        stacked = (jax.ShapeDtypeStruct((num_layers, *leaf.shape), leaf.dtype)
                   for leaf in cache((), sizes.prefix_slots)[0])  # fmt: skip
        keys, values = placed(tuple(stacked), ("layers", "kv_heads"))
        prefix = Prefix(keys, values, one_number)

    # ---- Step --------------------------------------------------------------------------------
    slots = jax.eval_shape(
        lambda: empty_slots(
            config,
            rows=sizes.rows,
            prompt_slots=sizes.prompt_slots,
            ring_slots=sizes.ring_slots,
            num_end_ids=1,
            cache_dtype=config.dtype,
            sampling=None,
        )
    )
    cursor = slots.cursor
    caches = placed((slots.prompts, slots.generated), row_axes)
    slots = placed(slots._replace(prompts=[], generated=[], cursor=None), ("batch",))
    slots = slots._replace(prompts=caches[0], generated=caches[1], cursor=placed(cursor, ()))
    layer_axes = jax.tree.map(lambda axes: axes[1:], logical_axes(config)["blocks"],
                              is_leaf=lambda node: isinstance(node, tuple))  # fmt: skip
    one_layer = jax.tree.map(
        lambda leaf, axes: placed(jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), axes),
        weights["blocks"],
        layer_axes,
    )
    step_params = {**params, "blocks": [one_layer] * num_layers}

    with jax.set_mesh(mesh):
        if sizes.prefix_slots:
            pool = placed(cache((), pool_slots(config, 2 * sizes.prefix_slots)), ("kv_heads",))
        return {
            "prefill": prefill.lower(
                params,
                config,
                packed,
                prefix,
                None,
                reach=sizes.reach,
                cache_dtype=config.dtype,
                vocab_size=config.vocab_size,
            ),
            "step": decode.lower(
                step_params,
                config,
                slots,
                pool,
                one_number,
                one_number,
                vocab_size=config.vocab_size,
            ),
        }
