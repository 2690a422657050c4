"""Attention over keys and values that are there: one dispatch, an XLA reference and fused kernels.

Which kernel computes it says `attention_backend`, for training here and for decoding in
`decode/kernels.py`; the splash kernel stands in `splash.py`.

Shape suffixes: B batch, T query length, S key length, N query heads, K key/value heads,
G = N / K queries per key/value head, H head_dim.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.models.block_attention import block_attention, causal_mask
from jaxllm.models.config import ModelConfig
from jaxllm.parallel.mesh import platform


def causal_attention(
    config: ModelConfig,
    q_BTNH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segment_ids_BT: jax.Array,
) -> jax.Array:
    """Each position attends to itself and to earlier ones of its own segment: [B, T, N, H].

    The backend is `attention_backend`'s.
    """
    length = q_BTNH.shape[1]
    backend = attention_backend(config)
    if backend == "splash":
        from jaxllm.models.splash import splash_causal

        return splash_causal(q_BTNH, k_BTKH, v_BTKH, segment_ids_BT)
    if backend == "cudnn":
        return jax.nn.dot_product_attention(
            q_BTNH,
            k_BTKH,
            v_BTKH,
            mask=causal_mask(segment_ids_BT, 0, length)[:, None],
            implementation="cudnn",
        )
    return block_attention(q_BTNH, k_BTKH, v_BTKH, segment_ids_BT)


def attention_backend(config: ModelConfig) -> Literal["xla", "cudnn", "splash"]:
    """Which kernel computes attention where the program that is being traced will run.

    It is `config.attention`; "auto" takes splash on TPU, and XLA elsewhere. Splash compiles for the
    dtypes of TPUs alone, cuDNN for bfloat16 and float16 alone.
    """
    if config.attention != "auto":
        return config.attention
    has_splash = platform() == "tpu" and config.dtype in ("bfloat16", "float32")
    return "splash" if has_splash else "xla"


class Keys(NamedTuple):
    """Keys and values that queries may attend to, and which of them each query sees.

    `k` is [B, K, H, S] and `v` [B, K, S, H], or [K, H, S] and [K, S, H] where all rows share them;
    `mask` broadcasts to [B, T, S]. So laid out, both products of a single query run along memory:
    on two CPU cores attention alone read 16 GB/s instead of 12; whole decode steps gained nothing
    that could be measured.
    """

    k: jax.Array
    v: jax.Array
    mask: jax.Array


def masked_attention(
    q_BTNH: jax.Array, k_BKSH: jax.Array, v_BKSH: jax.Array, mask_BTS: jax.Array
) -> jax.Array:
    """The XLA reference: softmax(q k^T / sqrt(H)) v with scores and softmax in float32.

    A query whose mask is empty gets the mean of the values: finite, and never read.
    """
    return attention_over(q_BTNH, [Keys(jnp.swapaxes(k_BKSH, -1, -2), v_BKSH, mask_BTS)])


class Part(NamedTuple):
    """Attention over some of the keys that queries see; `merge_parts` makes the whole of several.

    `out` is [B, T, N, H] and `logsumexp`, of the scores, [B, T, N] in float32.
    """

    out: jax.Array
    logsumexp: jax.Array


def merge_parts(parts: Sequence[Part]) -> jax.Array:
    """One softmax over the keys of all parts, [B, T, N, H] in float32."""
    weights = jax.nn.softmax(jnp.stack([part.logsumexp for part in parts]), axis=0)
    outs = jnp.stack([part.out.astype(jnp.float32) for part in parts])
    return jnp.sum(weights[..., None] * outs, axis=0)


def attention_over(q_BTNH: jax.Array, sources: Sequence[Keys]) -> jax.Array:
    """One softmax over the keys of all `sources`, [B, T, N, H].

    Keys that every row shares stand once: their scores are one product with the queries of all
    rows. Products are computed in the dtype of the keys.
    """
    return attention_part(q_BTNH, sources).out


def attention_part(q_BTNH: jax.Array, sources: Sequence[Keys]) -> Part:
    """`attention_over` with the log-sum-exp of the scores, for more keys elsewhere."""
    batch, length, num_heads, head_dim = q_BTNH.shape
    num_kv_heads = sources[0].k.shape[-3]
    group = num_heads // num_kv_heads
    # All queries of a key head as rows: XLA:CPU is twice as slow on dots with two row axes, and has
    # none for bfloat16.
    q_BKTGH = jnp.swapaxes(q_BTNH.reshape(batch, length, num_kv_heads, group, head_dim), 1, 2)
    q_BKRH = q_BKTGH.reshape(batch, num_kv_heads, length * group, head_dim)
    scores = []
    for source in sources:
        part = _per_head(q_BKRH, source.k)
        part = part.reshape(batch, num_kv_heads, length, group, -1) * (head_dim**-0.5)
        scores.append(jnp.where(source.mask[:, None, :, None], part, jnp.finfo(jnp.float32).min))
    # The division waits for the end: there it takes a pass over the output, not over the scores.
    highest = functools.reduce(
        jnp.maximum, [jnp.max(part, axis=-1, keepdims=True) for part in scores]
    )
    weights = [jnp.exp(part - jax.lax.stop_gradient(highest)) for part in scores]
    total = functools.reduce(jnp.add, [jnp.sum(part, axis=-1) for part in weights])
    mixed = [
        _per_head(part.reshape(batch, num_kv_heads, length * group, -1), source.v)
        for part, source in zip(weights, sources, strict=True)
    ]
    out = functools.reduce(jnp.add, mixed) / total.reshape(batch, num_kv_heads, -1, 1)
    out_BKTGH = out.astype(q_BTNH.dtype).reshape(q_BKTGH.shape)
    logsumexp_BKTG = highest[..., 0] + jnp.log(total)
    return Part(
        jnp.swapaxes(out_BKTGH, 1, 2).reshape(q_BTNH.shape),
        jnp.swapaxes(logsumexp_BKTG, 1, 2).reshape(q_BTNH.shape[:-1]),
    )


def _per_head(rows_BKRX: jax.Array, matrix: jax.Array) -> jax.Array:
    """`rows @ matrix` for every head, in float32; `matrix` is [B, K, X, Y] or shared [K, X, Y]."""
    rows_BKRX = rows_BKRX.astype(matrix.dtype)
    if matrix.ndim == 4 and rows_BKRX.shape[2] == 1 and platform() == "cpu":
        # XLA:CPU calls a matrix library for every row and head; this is one loop over memory.
        return jnp.sum(rows_BKRX[:, :, 0, :, None] * matrix, axis=2)[:, :, None]
    if matrix.ndim == 4:
        return jnp.matmul(rows_BKRX, matrix, preferred_element_type=jnp.float32)
    batch, heads, rows, _ = rows_BKRX.shape
    rows_KRX = jnp.swapaxes(rows_BKRX, 0, 1).reshape(heads, batch * rows, -1)
    product_KRY = jnp.matmul(rows_KRX, matrix, preferred_element_type=jnp.float32)
    return jnp.swapaxes(product_KRY.reshape(heads, batch, rows, -1), 0, 1)
