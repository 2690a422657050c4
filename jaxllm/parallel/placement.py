"""Host arrays on the devices of a mesh that several processes share."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding


def place(array: np.ndarray | np.generic, sharding: Sharding) -> jax.Array:
    """An array that every process has, laid out as `sharding` says; nothing is communicated."""
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def fetch(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays of a tree on the host, whole in every process; a collective where they are cut."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree)):
        return jax.device_get(tree)
    assert mesh is not None
    whole = _everywhere(NamedSharding(mesh, PartitionSpec()))(tree)
    return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0)), whole)


@functools.cache
def _everywhere(sharding: NamedSharding) -> Any:
    return jax.jit(lambda tree: tree, out_shardings=sharding)
