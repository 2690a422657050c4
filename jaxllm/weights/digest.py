"""A digest of weights: the same on every sharding, another for any other weights."""

from __future__ import annotations

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np

from jaxllm.models.decoder import Params

_SALTS = (0x9E3779B9, 0x7F4A7C15)


def weights_digest(params: Params) -> str:
    """The sha256 of names, shapes, dtypes and checksums of all arrays.

    A checksum is a sum over an array's elements, each mixed with its place, so it is the same on
    every sharding and another when two elements change places. It guards against mistaking one
    model for another, not against somebody who wants two to look alike.
    """
    named = jax.tree_util.tree_leaves_with_path(params)
    sums = np.asarray(_checksums([leaf for _, leaf in named]))
    entries = [
        [jax.tree_util.keystr(path), list(leaf.shape), str(leaf.dtype), *map(int, pair)]
        for (path, leaf), pair in zip(named, sums, strict=True)
    ]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


@jax.jit
def _checksums(arrays: list[jax.Array]) -> jax.Array:
    """Two 32-bit sums for each array, [arrays, 2]."""
    return jnp.stack([_checksum(array) for array in arrays])


def _checksum(array: jax.Array) -> jax.Array:
    width = min(array.dtype.itemsize, 4)  # a 64-bit element becomes two of 32 bits
    bits = jax.lax.bitcast_convert_type(array, f"uint{8 * width}").astype(jnp.uint32)
    place, stride = jnp.zeros(bits.shape, jnp.uint32), 1
    for axis in reversed(range(bits.ndim)):
        here = jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis)
        place += here * jnp.uint32(stride % 2**32)
        stride *= bits.shape[axis]
    first = _mix(bits + _mix(place ^ jnp.uint32(_SALTS[0])))
    second = _mix(first ^ jnp.uint32(_SALTS[1]))
    # Both sums in one reduction: two of them would each need the mixed words in memory.
    zero, axes = jnp.uint32(0), tuple(range(bits.ndim))
    return jnp.stack(jax.lax.reduce((first, second), (zero, zero), _add_both, axes))


def _add_both(
    left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return left[0] + right[0], left[1] + right[1]


def _mix(word: jax.Array) -> jax.Array:
    # The finaliser of MurmurHash3 (Austin Appleby, public domain).
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)
