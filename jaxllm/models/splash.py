"""JAX's Pallas splash attention for TPUs, rows and heads split over the ambient mesh.

The kernel knows one row, and lengths of whole blocks; here are rows, meshes and lengths as they
come. It skips blocks of keys that a static window leaves out, and masks by ids: a query sees the
keys that have its own. Off TPU it runs in interpret mode, which is how its numerics are tested. For
TPU it compiles at any head_dim (8 to 256 tried), in bfloat16 and float32, not in float16.

Shape suffixes: B batch, T queries, S keys, N query heads, K key/value heads, G = N / K, H head_dim,
R all queries of a key head.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel,
    splash_attention_mask,
)
from jax.sharding import PartitionSpec

from jaxllm.models.attention import Part
from jaxllm.models.block_attention import RESULTS
from jaxllm.parallel.mesh import platform
from jaxllm.parallel.rules import partition_spec

_LANES = 128
# A step of the grid costs time whatever it computes.
_LARGEST_BLOCK = 512
# The id of what fills up the last block; callers have none below -2.
_NOBODY = -3


def splash_causal(
    q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array, ids_BT: jax.Array
) -> jax.Array:
    """Each position over itself and the earlier ones of its id, [B, T, N, H]; has gradients."""
    return _by_row(q_BTNH, k_BTKH, v_BTKH, ids_BT, (None, 0), has_logsumexp=False)


def splash_band(
    q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array, ids_BT: jax.Array, reach: int
) -> Part:
    """As `splash_causal` where nothing sees more than `reach` keys; without gradients."""
    return Part(*_by_row(q_BTNH, k_BTKH, v_BTKH, ids_BT, (reach - 1, 0), has_logsumexp=True))


def splash_shared(
    q_BTNH: jax.Array,
    k_KHS: jax.Array,
    v_KSH: jax.Array,
    query_ids_BT: jax.Array,
    key_ids_S: jax.Array,
) -> Part:
    """Each query over those keys of its id that stand once for all rows; without gradients.

    The queries of all rows, and of all heads of a key head, go through the keys together. The part
    of a query whose id no key has weighs nothing beside any other.
    """

    def local(q_BTNH, k_KHS, v_KSH, query_ids_BT, key_ids_S):
        batch, length, _, size = q_BTNH.shape
        kv_heads = len(k_KHS)
        q_KBTGH = jnp.moveaxis(q_BTNH.reshape(batch, length, kv_heads, -1, size), 2, 0)
        group = q_KBTGH.shape[3]
        out_KRH, logsumexp_KR = _attend(
            q_KBTGH.reshape(kv_heads, -1, size),
            jnp.swapaxes(k_KHS, 1, 2),
            v_KSH,
            jnp.repeat(query_ids_BT.reshape(-1), group),
            key_ids_S,
            window=None,
            has_logsumexp=True,
        )
        out_BTKGH = jnp.moveaxis(out_KRH.reshape(q_KBTGH.shape), 0, 2)
        logsumexp_BTKG = jnp.moveaxis(logsumexp_KR.reshape(q_KBTGH.shape[:-1]), 0, 2)
        return out_BTKGH.reshape(q_BTNH.shape), logsumexp_BTKG.reshape(q_BTNH.shape[:-1])

    spec_BTNH, spec_BT = _specs(q_BTNH)
    shared = partition_spec(("heads", None, None))
    over_mesh = _over_mesh(
        local,
        (spec_BTNH, shared, shared, spec_BT, partition_spec((None,))),
        (spec_BTNH, PartitionSpec(*spec_BTNH[:3])),
    )
    k_KHS, v_KSH = (_dividing(keys, 0, q_BTNH.shape[2]) for keys in (k_KHS, v_KSH))
    return Part(*over_mesh(_scaled(q_BTNH), k_KHS, v_KSH, query_ids_BT, key_ids_S))


def _by_row(q_BTNH, k_BTKH, v_BTKH, ids_BT, window, *, has_logsumexp):
    attend = functools.partial(_attend, window=window, has_logsumexp=has_logsumexp)

    def local(q_BTNH, k_BTKH, v_BTKH, ids_BT):
        q_BNTH, k_BKTH, v_BKTH = (jnp.swapaxes(array, 1, 2) for array in (q_BTNH, k_BTKH, v_BTKH))
        result = jax.vmap(attend)(q_BNTH, k_BKTH, v_BKTH, ids_BT, ids_BT)
        return jax.tree.map(lambda array: jnp.swapaxes(array, 1, 2), result)

    spec_BTNH, spec_BT = _specs(q_BTNH)
    over_mesh = _over_mesh(
        local,
        (spec_BTNH, spec_BTNH, spec_BTNH, spec_BT),
        (spec_BTNH, PartitionSpec(*spec_BTNH[:3])) if has_logsumexp else spec_BTNH,
    )
    k_BTKH, v_BTKH = (_dividing(keys, 2, q_BTNH.shape[2]) for keys in (k_BTKH, v_BTKH))
    return over_mesh(_scaled(q_BTNH), k_BTKH, v_BTKH, ids_BT)


def _attend(q_NTH, k_KSH, v_KSH, query_ids_T, key_ids_S, *, window, has_logsumexp):
    """The kernel on one row: [N, T, H], and the log-sum-exp of the scores [N, T] if asked for.

    `window` is how far queries see to the left and to the right, or None where all see all.
    """
    heads, length, _ = q_NTH.shape
    q_NTH, query_ids_T = _filled(q_NTH, 1), _filled(query_ids_T, 0, _NOBODY)
    k_KSH, v_KSH, key_ids_S = _filled(k_KSH, 1), _filled(v_KSH, 1), _filled(key_ids_S, 0, _NOBODY)
    shape = (q_NTH.shape[1], k_KSH.shape[1])
    mask = (
        splash_attention_mask.FullMask(shape)
        if window is None
        else splash_attention_mask.LocalMask(shape, window, 0)
    )
    block_q, block_kv = (math.gcd(size, _LARGEST_BLOCK) for size in shape)
    backward_q, backward_kv = (None, None) if has_logsumexp else (block_q, block_kv)
    blocks = splash_attention_kernel.BlockSizes(
        block_q=block_q,
        block_kv=block_kv,
        block_q_dkv=backward_q,
        block_kv_dkv=backward_kv,
        block_q_dq=backward_q,
        block_kv_dq=backward_kv,
    )
    kernel = splash_attention_kernel.make_splash_mha_single_device(
        splash_attention_mask.MultiHeadMask([mask] * heads),
        block_sizes=blocks,
        save_residuals=has_logsumexp,
        residual_checkpoint_name=None if has_logsumexp else RESULTS,
        interpret=platform() != "tpu",
    )
    ids = splash_attention_kernel.SegmentIds(q=query_ids_T, kv=key_ids_S)
    result = kernel(q_NTH, k_KSH, v_KSH, segment_ids=ids)
    if not has_logsumexp:
        return result[:, :length]
    out_NTH, (logsumexp_NT,) = result
    return out_NTH[:, :length], logsumexp_NT[:, :length]


def _filled(array: jax.Array, axis: int, value: int = 0) -> jax.Array:
    """Whole blocks along `axis`."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, -array.shape[axis] % _LANES)
    return jnp.pad(array, widths, constant_values=value)


def _scaled(q_BTNH: jax.Array) -> jax.Array:
    return q_BTNH * np.float32(q_BTNH.shape[-1] ** -0.5).astype(q_BTNH.dtype)


def _specs(q_BTNH: jax.Array) -> tuple[PartitionSpec, PartitionSpec]:
    """How queries and their ids lie on the mesh; a single row is computed everywhere."""
    mesh = jax.sharding.get_abstract_mesh()
    divides = mesh.empty or len(q_BTNH) % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0
    rows = "batch" if divides else None
    return partition_spec((rows, None, "heads", None)), partition_spec((rows, None))


def _dividing(keys: jax.Array, axis: int, num_heads: int) -> jax.Array:
    """Keys or values as they are, or repeated for all query heads where theirs do not divide."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or keys.shape[axis] % mesh.shape["tensor"] == 0:
        return keys
    return jnp.repeat(keys, num_heads // keys.shape[axis], axis=axis)


def _over_mesh(local, in_specs, out_specs):
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return local
    return jax.shard_map(local, in_specs=in_specs, out_specs=out_specs, check_vma=False)
