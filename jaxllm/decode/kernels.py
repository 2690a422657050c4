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

import functools
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.decode.schedule import size_bucket
from jaxllm.models.attention import (
    Keys,
    attention_backend,
    attention_over,
    attention_part,
    merge_parts,
)
from jaxllm.models.config import ModelConfig
from jaxllm.parallel.mesh import platform

_QUERY_BLOCK = 128
# The same where blocks are computed in a loop.
_LOOPED_QUERIES = 64
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

    Queries stand at `places_RQ`, in order. With `reach` those are all positions; otherwise they are
    any, and there may be padding behind them.
    """
    common = [] if prefix is None else [prefix]

    def attend(
        q: jax.Array, starts: jax.Array, places: jax.Array, begin: jax.Array | int, size: int
    ) -> jax.Array:
        k = jax.lax.dynamic_slice_in_dim(k_RKHT, begin, size, axis=3)
        v = jax.lax.dynamic_slice_in_dim(v_RKTH, begin, size, axis=2)
        of_keys_11S = (begin + jnp.arange(size))[None, None]
        mask = (of_keys_11S >= starts[:, :, None]) & (of_keys_11S <= places[:, :, None])
        return attention_over(q, [*common, Keys(k, v, mask)])

    length, num_queries = v_RKTH.shape[2], q_RQNH.shape[1]
    queries = (q_RQNH, starts_RQ, places_RQ)
    if platform() == "cpu" and num_queries > _LOOPED_QUERIES:
        return _one_after_another(attend, queries, length, reach)
    parts = []
    for start in range(0, num_queries, _QUERY_BLOCK):
        end = min(start + _QUERY_BLOCK, num_queries)
        first, last = (0, length) if reach is None else (max(0, start - reach), end)
        q, starts, places = (array[:, start:end] for array in queries)
        parts.append(attend(q, starts, places, first, last - first))
    return jnp.concatenate(parts, axis=1)


def _one_after_another(
    attend: Callable[..., jax.Array],
    queries: tuple[jax.Array, jax.Array, jax.Array],
    length: int,
    reach: int | None,
) -> jax.Array:
    """`attend` for blocks of queries in a loop, each over keys from where its first item starts.

    One block's scores fit into a core's cache, while XLA:CPU forms those of all blocks before it
    goes on if there is no loop. On one core a layer of 8 heads over a row of 2,048 positions took
    20 ms instead of 61 with items of 390, 14 instead of 36 with items of 130, and 30 instead of 73
    with items of 45 that share 400 keys.
    """
    q_RQNH, _, _ = queries
    num_queries = q_RQNH.shape[1]
    num_blocks = -(-num_queries // _LOOPED_QUERIES)
    padding = num_blocks * _LOOPED_QUERIES - num_queries
    # Padding repeats the last query, which needs no other keys.
    queries = jax.tree.map(
        lambda array: jnp.pad(
            array, ((0, 0), (0, padding), *((0, 0),) * (array.ndim - 2)), mode="edge"
        ),
        queries,
    )
    _, starts_RQ, places_RQ = queries
    firsts_B = jnp.min(starts_RQ.reshape(-1, num_blocks, _LOOPED_QUERIES), axis=(0, 2))
    ends_B = jnp.max(places_RQ.reshape(-1, num_blocks, _LOOPED_QUERIES), axis=(0, 2)) + 1
    longest = length if reach is None else min(length, reach + _LOOPED_QUERIES)
    blocks = range(_LOOPED_QUERIES, longest + _LOOPED_QUERIES, _LOOPED_QUERIES)
    sizes = sorted({min(size_bucket(size), longest) for size in blocks})
    which_B = jnp.searchsorted(jnp.array(sizes), ends_B - firsts_B)

    def attend_block(number: jax.Array, outs: jax.Array) -> jax.Array:
        start = number * _LOOPED_QUERIES
        block = [
            jax.lax.dynamic_slice_in_dim(array, start, _LOOPED_QUERIES, axis=1) for array in queries
        ]

        def over(size: int) -> jax.Array:
            begin = jnp.clip(ends_B[number] - size, 0, length - size)
            return attend(*block, begin, size)

        branches = [functools.partial(over, size) for size in sizes]
        out = jax.lax.switch(which_B[number], branches)
        return jax.lax.dynamic_update_slice_in_dim(outs, out, start, axis=1)

    outs = jax.lax.fori_loop(0, num_blocks, attend_block, jnp.zeros_like(queries[0]))
    return outs[:, :num_queries]


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
