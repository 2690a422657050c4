"""How rows that are decoded lie on a mesh, and the keys and values that they see.

Rows are split over the devices of the batch, key/value heads over `tensor`; what rows share is on
every device of the batch. Arrays may be abstract.
"""

from __future__ import annotations

import jax
from jax.sharding import Mesh, NamedSharding

from jaxllm.decode.packed import KeyValues
from jaxllm.decode.slots import Slots
from jaxllm.parallel.rules import sharding

_HEADS = ("kv_heads", None, None)


def cache_layout(mesh: Mesh, cache: KeyValues) -> KeyValues:
    """The `NamedSharding` of each array of a cache, whose rows, if it has some, come first."""

    def layout(leaf: jax.Array) -> NamedSharding:
        axes = ("batch", *_HEADS) if leaf.ndim > len(_HEADS) else _HEADS
        return sharding(mesh, axes, leaf.shape)

    return jax.tree.map(layout, cache)


def slots_layout(mesh: Mesh, slots: Slots) -> Slots:
    """The `NamedSharding` of each array of slots."""
    rows = len(slots.done_B)

    def layout(leaf: jax.Array) -> NamedSharding:
        by_row = leaf.ndim > 0 and leaf.shape[0] == rows
        axes = ("batch" if by_row else None, *(None,) * (leaf.ndim - 1)) if leaf.ndim else ()
        return sharding(mesh, axes, leaf.shape)

    layouts = jax.tree.map(layout, slots._replace(prompts=[], generated=[]))
    return layouts._replace(
        prompts=cache_layout(mesh, slots.prompts), generated=cache_layout(mesh, slots.generated)
    )
