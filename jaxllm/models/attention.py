"""Attention over keys and values that are there: one dispatch, an XLA reference and fused kernels.

Shape suffixes: B batch, T query length, S key length, N query heads, K key/value heads,
G = N / K queries per key/value head, H head_dim.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxllm.models.config import ModelConfig
from jaxllm.parallel.rules import partition_spec


def causal_attention(
    config: ModelConfig,
    q_BTNH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segment_ids_BT: jax.Array,
) -> jax.Array:
    """Each position attends to itself and to earlier ones of its own segment: [B, T, N, H].

    The backend is `config.attention`; "auto" takes splash on TPU where its shapes allow it, and
    XLA elsewhere.
    """
    length = q_BTNH.shape[1]
    if _backend(config, length) == "splash":
        return _splash(q_BTNH, k_BTKH, v_BTKH, segment_ids_BT)
    index = jnp.arange(length)
    mask_BTS = (segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]) & (
        index[:, None] >= index[None, :]
    )
    if config.attention == "cudnn":
        return jax.nn.dot_product_attention(
            q_BTNH, k_BTKH, v_BTKH, mask=mask_BTS[:, None], implementation="cudnn"
        )
    return masked_attention(
        q_BTNH, jnp.swapaxes(k_BTKH, 1, 2), jnp.swapaxes(v_BTKH, 1, 2), mask_BTS
    )


def masked_attention(
    q_BTNH: jax.Array, k_BKSH: jax.Array, v_BKSH: jax.Array, mask_BTS: jax.Array
) -> jax.Array:
    """The XLA reference: softmax(q k^T / sqrt(H)) v with scores and softmax in float32.

    Keys and values carry heads before length, as a KV cache keeps them. A query whose mask is
    empty gets the mean of the values: finite, and never read.
    """
    batch, length, num_heads, head_dim = q_BTNH.shape
    num_kv_heads = k_BKSH.shape[1]
    q_BTKGH = q_BTNH.reshape(batch, length, num_kv_heads, num_heads // num_kv_heads, head_dim)
    scores = jnp.einsum(
        "BTKGH,BKSH->BKGTS", q_BTKGH, k_BKSH, preferred_element_type=jnp.float32
    ) * (head_dim**-0.5)
    scores = jnp.where(mask_BTS[:, None, None], scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(v_BKSH.dtype)
    out = jnp.einsum("BKGTS,BKSH->BTKGH", weights, v_BKSH, preferred_element_type=jnp.float32)
    return out.astype(q_BTNH.dtype).reshape(batch, length, num_heads, head_dim)


def _backend(config: ModelConfig, length: int) -> str:
    if config.attention != "auto":
        return config.attention
    fits_splash = length % 128 == 0 and config.head_dim % 64 == 0
    return "splash" if jax.default_backend() == "tpu" and fits_splash else "xla"


def _splash(
    q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array, segment_ids_BT: jax.Array
) -> jax.Array:
    """JAX's Pallas splash attention, batch and heads split over the mesh by shard_map.

    Off TPU the kernel runs in interpret mode, which is how its numerics are tested.
    """
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel,
        splash_attention_mask,
    )

    def local(q_BNTH, k_BKTH, v_BKTH, segments_BT):
        _, num_heads, length, _ = q_BNTH.shape
        causal = splash_attention_mask.CausalMask((length, length))
        kernel = splash_attention_kernel.make_splash_mqa_single_device(
            splash_attention_mask.MultiHeadMask([causal] * (num_heads // k_BKTH.shape[1])),
            interpret=jax.default_backend() != "tpu",
        )

        def one_row(q_NTH, k_KTH, v_KTH, segments_T):
            ids = splash_attention_kernel.SegmentIds(q=segments_T, kv=segments_T)
            q_KGTH = q_NTH.reshape(k_KTH.shape[0], -1, *q_NTH.shape[1:])
            attend = functools.partial(kernel, segment_ids=ids)
            return jax.vmap(attend)(q_KGTH, k_KTH, v_KTH).reshape(q_NTH.shape)

        return jax.vmap(one_row)(q_BNTH, k_BKTH, v_BKTH, segments_BT)

    scale = np.float32(q_BTNH.shape[-1] ** -0.5).astype(q_BTNH.dtype)
    arguments = (
        jnp.swapaxes(q_BTNH * scale, 1, 2),
        jnp.swapaxes(k_BTKH, 1, 2),
        jnp.swapaxes(v_BTKH, 1, 2),
        segment_ids_BT,
    )
    mesh = jax.sharding.get_abstract_mesh()
    if not mesh.empty and mesh.size > 1:
        heads = partition_spec(("batch", "heads", "length", None))
        local = jax.shard_map(
            local,
            in_specs=(heads, heads, heads, partition_spec(("batch", "length"))),
            out_specs=heads,
            check_vma=False,
        )
    return jnp.swapaxes(local(*arguments), 1, 2)
