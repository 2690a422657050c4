"""Logical axes to mesh axes: the one table that decides how everything is laid out.

A weight or an activation names what each of its dimensions *is* (`embed`, `heads`, `batch`, ...);
this table says over which mesh axes such a dimension is split.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from jaxllm.errors import UserError

RULES: dict[str, str | tuple[str, ...] | None] = {
    # Weights.
    "layers": None,
    "vocab": "tensor",
    "embed": "fsdp",
    "heads": "tensor",
    "kv_heads": "tensor",
    "ffn": "tensor",
    "positions": None,
    "norm": None,
    "rank": None,
    # Activations.
    "batch": ("data", "fsdp"),
    "length": None,
    "features": None,
}

# A dimension of these kinds that does not divide is kept whole instead of refused: vocabularies
# have odd sizes, and a few key/value heads are cheap to have on every device.
_MAY_STAY_WHOLE = frozenset({"vocab", "kv_heads"})


def partition_spec(axes: tuple[str | None, ...]) -> PartitionSpec:
    """The mesh axes of logical `axes`."""
    return PartitionSpec(*(None if axis is None else RULES[axis] for axis in axes))


def num_batch_parts(mesh: Mesh) -> int:
    """Among how many devices or groups of them the rows of a batch are split."""
    return _size(mesh, RULES["batch"])


def sharding(mesh: Mesh, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> NamedSharding:
    """How an array of `shape` whose dimensions are `axes` lies on `mesh`.

    Raises:
        UserError: a dimension does not divide over its mesh axes.
    """
    entries: list[str | tuple[str, ...] | None] = []
    for axis, size in zip(axes, shape, strict=True):
        target = None if axis is None else RULES[axis]
        parts = _size(mesh, target)
        if size % parts:
            if axis not in _MAY_STAY_WHOLE:
                raise UserError(
                    f"a weight dimension `{axis}` of {size} does not divide over mesh axis "
                    f"{target} of size {parts}; choose --config.mesh.{target} from "
                    f"{[d for d in range(1, parts + 1) if size % d == 0]}"
                )
            target = None
        entries.append(target)
    return NamedSharding(mesh, PartitionSpec(*entries))


def shardings(mesh: Mesh, axes: Any, abstract: Any) -> Any:
    """`sharding` over a tree: `axes` holds tuples of names where `abstract` holds arrays."""
    return jax.tree.map(
        lambda leaf, names: sharding(mesh, names, leaf.shape), abstract, axes,
        is_leaf=lambda node: node is None,
    )  # fmt: skip


def num_shards(axis: str) -> int:
    """Over how many devices of the ambient mesh the dimensions `axis` are split."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else _size(mesh, RULES[axis])


def constrain(array: jax.Array, *axes: str | None) -> jax.Array:
    """Pin an activation's layout inside jit; without an ambient mesh it is the identity."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return array
    return jax.lax.with_sharding_constraint(array, partition_spec(axes))


def _size(mesh: Mesh | AbstractMesh, target: str | tuple[str, ...] | None) -> int:
    if target is None:
        return 1
    names = (target,) if isinstance(target, str) else target
    size = 1
    for name in names:
        size *= mesh.shape[name]
    return size
