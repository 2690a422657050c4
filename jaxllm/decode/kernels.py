"""Attention in prefill and in the decode step: which kernel runs where, and the XLA reference.

`attention_backend` chooses by `config.attention` and the platform that a program is compiled for:

- xla, the reference, and all there is on CPU.
- splash (TPU): a packed row goes through the kernel as a band, its items told apart by ids. Keys
  that stand once for all rows, a prefix in prefill and the pool in the step, go through it with the
  queries of all rows together. Parts are merged by their log-sum-exp.
- cudnn (GPU): one call over prefix and row side by side. Parts could not be merged: JAX returns
  cuDNN's log-sum-exp in the dtype of the queries, and bfloat16 has 8 bits for it. The step is
  XLA's.

In the step a row's own keys are XLA's everywhere: they lie side by side and are read once, and the
scores that XLA writes beside are a small part of what keys and values weigh. JAX's kernels for this
place want pages, which here would be copies; in interpret mode `paged_attention` was off by 2e-2
to 3e-2, and `ragged_paged_attention` did not run.

Shape suffixes: R packed rows, T positions of a row, Q queries of a row, B decoded rows, P shared
keys, N query heads, K key/value heads, H head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.models.attention import (
    Keys,
    attention_backend,
    attention_over,
    attention_part,
    merge_parts,
)
from jaxllm.models.config import ModelConfig

_QUERY_BLOCK = 128
# Shared keys in these steps fill the blocks of the splash kernel, which would be copied otherwise.
_SPLASH_SLOTS = 128
# The ids of shared keys that belong to no prefix, and of rows that have none.
_UNUSED, _WITHOUT = -1, -2


class PrefixIds(NamedTuple):
    """Which prefix each row sees, [B, 1], and which each slot of the pool holds a key of, [P]."""

    rows_B1: jax.Array
    slots_P: jax.Array


def packed_attention(
    config: ModelConfig,
    q_RTNH: jax.Array,
    k_RKHT: jax.Array,
    v_RKTH: jax.Array,
    starts_RT: jax.Array,
    prefix: Keys | None,
    *,
    reach: int,
) -> jax.Array:
    """Each position over the prefix and over its own item up to itself, [R, T, N, H].

    Args:
        starts_RT: where in the row each position's item starts.
        prefix: keys that all positions see, or as many of them as the mask [1, 1, P] says.
        reach: no item is longer.
    """
    backend = attention_backend(config)
    if backend == "splash":
        from jaxllm.models.splash import splash_band, splash_shared

        own = jnp.moveaxis(k_RKHT, 3, 1), jnp.swapaxes(v_RKTH, 1, 2)
        parts = [splash_band(q_RTNH, *own, starts_RT, reach)]
        if prefix is not None:
            ids_P = jnp.where(prefix.mask[0, 0], 0, _UNUSED)
            all_RT = jnp.zeros_like(starts_RT)
            parts.append(splash_shared(q_RTNH, prefix.k, prefix.v, all_RT, ids_P))
        return merge_parts(parts).astype(q_RTNH.dtype)
    if backend == "cudnn":
        return side_by_side(q_RTNH, k_RKHT, v_RKTH, starts_RT, prefix, "cudnn")
    places_RT = jnp.broadcast_to(jnp.arange(starts_RT.shape[1]), starts_RT.shape)
    return in_blocks(q_RTNH, k_RKHT, v_RKTH, starts_RT, places_RT, prefix, reach=reach)


def in_blocks(
    q_RQNH: jax.Array,
    k_RKHT: jax.Array,
    v_RKTH: jax.Array,
    starts_RQ: jax.Array,
    places_RQ: jax.Array,
    prefix: Keys | None,
    *,
    reach: int | None = None,
) -> jax.Array:
    """XLA's, [R, Q, N, H]: a block of queries at a time, over the keys that are near enough.

    Queries stand at `places_RQ`. With `reach` those are all positions in order; otherwise they are
    any, and each block goes over the whole row.
    """
    length = v_RKTH.shape[2]
    places_1T = jnp.arange(length)[None]
    common = [] if prefix is None else [prefix]
    parts = []
    for start in range(0, q_RQNH.shape[1], _QUERY_BLOCK):
        block = slice(start, start + _QUERY_BLOCK)
        near = slice(0, length) if reach is None else slice(max(0, start - reach), block.stop)
        is_own = places_1T[:, None, near] >= starts_RQ[:, block, None]
        is_past = places_1T[:, None, near] <= places_RQ[:, block, None]
        own = Keys(k_RKHT[..., near], v_RKTH[:, :, near], is_own & is_past)
        parts.append(attention_over(q_RQNH[:, block], [*common, own]))
    return jnp.concatenate(parts, axis=1)


def side_by_side(
    q_RTNH: jax.Array,
    k_RKHT: jax.Array,
    v_RKTH: jax.Array,
    starts_RT: jax.Array,
    prefix: Keys | None,
    implementation: Literal["cudnn", "xla"],
) -> jax.Array:
    """`jax.nn.dot_product_attention` over the keys of the prefix and the row, [R, T, N, H]."""
    rows, length = starts_RT.shape
    places_T = jnp.arange(length)
    is_own_RTT = places_T >= starts_RT[:, :, None]
    mask_RTS = is_own_RTT & (places_T <= places_T[:, None])
    if prefix is not None:
        k_RKHP, v_RKPH = (jnp.broadcast_to(x, (rows, *x.shape)) for x in (prefix.k, prefix.v))
        k_RKHT = jnp.concatenate([k_RKHP, k_RKHT], axis=3)
        v_RKTH = jnp.concatenate([v_RKPH, v_RKTH], axis=2)
        of_prefix = jnp.broadcast_to(prefix.mask, (rows, length, prefix.mask.shape[-1]))
        mask_RTS = jnp.concatenate([of_prefix, mask_RTS], axis=2)
    return jax.nn.dot_product_attention(
        q_RTNH,
        jnp.moveaxis(k_RKHT, 3, 1),
        jnp.swapaxes(v_RKTH, 1, 2),
        mask=mask_RTS[:, None],
        implementation=implementation,
    )


def prefix_ids(starts_B: jax.Array, sees_B1P: jax.Array, live_B: jax.Array) -> PrefixIds:
    """Ids of the prefixes in the pool: the slot in which each starts.

    Rows that are free may still point to slots that hold another prefix by now.
    """
    sees_BP = sees_B1P[:, 0] & live_B[:, None]
    rows_B = jnp.where(jnp.any(sees_BP, axis=1), starts_B, _WITHOUT)
    slots_P = jnp.max(jnp.where(sees_BP, starts_B[:, None], _UNUSED), axis=0)
    return PrefixIds(rows_B[:, None], slots_P)


def step_attention(
    config: ModelConfig,
    q_B1NH: jax.Array,
    own: Sequence[Keys],
    pool: Keys | None,
    ids: PrefixIds | None,
) -> jax.Array:
    """The newest token of each row over its own keys and those of its prefix, [B, 1, N, H].

    Args:
        pool: the prefixes of all rows; `ids` tells them apart as its mask does.
    """
    if pool is None or ids is None:
        return attention_over(q_B1NH, own)
    if attention_backend(config) != "splash":
        return attention_over(q_B1NH, [*own, pool])
    from jaxllm.models.splash import splash_shared

    q_B1NH = q_B1NH.astype(pool.k.dtype)
    of_pool = splash_shared(q_B1NH, pool.k, pool.v, ids.rows_B1, ids.slots_P)
    return merge_parts([attention_part(q_B1NH, own), of_pool]).astype(config.dtype)


def pool_slots(config: ModelConfig, slots: int) -> int:
    """Slots of a pool that needs so many: for the splash kernel, whole blocks of them."""
    step = _SPLASH_SLOTS if attention_backend(config) == "splash" else 1
    return -(-slots // step) * step
