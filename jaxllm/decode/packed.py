"""Compiled programs over packed rows: the own tokens of many requests side by side.

Products with weights run over the row, in which hardly a position is padding; attention runs over
the row too, a block of queries at a time, each over the keys that are near enough to belong to the
same item. What requests have in common, their prefix, was run once, and its keys and values stand
apart without a row axis. In the last layer keys and values are made everywhere, but queries, output
projection and feed-forward only where a next token is wanted.

Shape suffixes: R rows, T length of a row, Q picked positions of a row, K key/value heads, P prefix
slots, N query heads, H head_dim, D hidden_size.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.decode.kernels import in_blocks, packed_attention
from jaxllm.decode.sampling import SamplingState, choose_tokens
from jaxllm.models.attention import Keys
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import (
    Params,
    apply_block,
    embed,
    final_norm,
    project_logits,
    rope_for,
)

# Per layer: keys [..., K, H, S] and values [..., K, S, H], as `attention.Keys` has them.
KeyValues = list[tuple[jax.Array, jax.Array]]

# Positions whose logits are held at once where there may be many.
_SCORE_BLOCK = 256


class PackedRows(NamedTuple):
    """Tokens of several items a row, and where a next token is wanted."""

    tokens_RT: jax.Array
    positions_RT: jax.Array
    starts_RT: jax.Array  # where in the row the token's item starts; padding is an item of its own
    picks_RQ: jax.Array


class Prefix(NamedTuple):
    """Keys and values that every item sees, stacked by layer; the first `length` are real."""

    keys: jax.Array  # [num_layers, K, H, P]
    values: jax.Array  # [num_layers, K, P, H]
    length: jax.Array


@functools.partial(jax.jit, static_argnames=("config", "reach", "cache_dtype", "vocab_size"))
def prefill(
    params: Params,
    config: ModelConfig,
    packed: PackedRows,
    prefix: Prefix | None,
    sampling: SamplingState | None,
    *,
    reach: int,
    cache_dtype: str,
    vocab_size: int,
) -> tuple[jax.Array, jax.Array, KeyValues]:
    """The token behind each pick, its log-probability, and all keys and values.

    Args:
        sampling: settings of each pick, [R * Q].
        reach: no item is longer.

    Returns:
        Tokens and log-probabilities [R * Q], and keys and values with a leading axis of rows.
    """
    hidden_RQD, layers = _run(params, config, packed, prefix, reach, cache_dtype)
    logits = masked_logits(params, config, hidden_RQD.reshape(-1, config.hidden_size), vocab_size)
    tokens, logprobs = choose_tokens(logits, sampling, jnp.zeros(len(logits), jnp.int32))
    return tokens, logprobs, layers


@functools.partial(jax.jit, static_argnames=("config", "cache_dtype"))
def run_prefix(
    params: Params, config: ModelConfig, tokens_P: jax.Array, *, cache_dtype: str
) -> KeyValues:
    """Keys and values of one beginning that many requests share, without an item axis.

    What stands behind the real tokens is padding: later positions never change earlier ones.
    """
    length = len(tokens_P)
    places_1P = jnp.arange(length)[None]
    no_pick = jnp.zeros((1, 1), jnp.int32)
    packed = PackedRows(tokens_P[None], places_1P, jnp.zeros_like(places_1P), no_pick)
    _, layers = _run(params, config, packed, None, length, cache_dtype)
    return [(k[0], v[0]) for k, v in layers]


@functools.partial(jax.jit, static_argnames=("config", "reach", "cache_dtype", "vocab_size"))
def score(
    params: Params,
    config: ModelConfig,
    packed: PackedRows,
    prefix: Prefix | None,
    targets_RQ: jax.Array,
    *,
    reach: int,
    cache_dtype: str,
    vocab_size: int,
) -> tuple[jax.Array, jax.Array]:
    """Log-probability of the target behind each pick, and whether it is the most likely, [R, Q]."""
    hidden_RQD, _ = _run(params, config, packed, prefix, reach, cache_dtype)
    block = math.gcd(targets_RQ.size, _SCORE_BLOCK)

    def scored(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        hidden, targets = part
        logits = masked_logits(params, config, hidden, vocab_size)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        best = jnp.argmax(logits, axis=-1) == targets
        return chosen - jax.nn.logsumexp(logits, axis=-1), best

    blocks = (hidden_RQD.reshape(-1, block, config.hidden_size), targets_RQ.reshape(-1, block))
    logprobs, is_best = jax.lax.map(scored, blocks)
    return logprobs.reshape(targets_RQ.shape), is_best.reshape(targets_RQ.shape)


def num_slots(layers: KeyValues) -> int:
    """How many keys a row of these has room for."""
    return layers[0][1].shape[-2]


def masked_logits(
    params: Params, config: ModelConfig, hidden: jax.Array, vocab_size: int
) -> jax.Array:
    """Float32 logits; rows of the embedding beyond the tokenizer are padding, never chosen."""
    logits = project_logits(params, config, hidden)
    return jnp.where(jnp.arange(config.vocab_size) < vocab_size, logits, -jnp.inf)


def _run(
    params: Params,
    config: ModelConfig,
    packed: PackedRows,
    prefix: Prefix | None,
    reach: int,
    cache_dtype: str,
) -> tuple[jax.Array, KeyValues]:
    """Hidden states [R, Q, D] of the picks after the final norm, and all keys and values."""
    x_RTD = embed(params, config, packed.tokens_RT, packed.positions_RT)
    rope = rope_for(config, packed.positions_RT)
    pick = functools.partial(_take, places=packed.picks_RQ)
    last = config.num_layers - 1

    def attend(attention, q_RQNH, k_RTKH, v_RTKH, common):
        k_RKHT, v_RKTH = jnp.transpose(k_RTKH, (0, 2, 3, 1)), jnp.swapaxes(v_RTKH, 1, 2)
        out_RQNH = attention(q_RQNH, k_RKHT, v_RKTH, prefix=common)
        return out_RQNH, (k_RKHT.astype(cache_dtype), v_RKTH.astype(cache_dtype))

    along = functools.partial(packed_attention, config, starts_RT=packed.starts_RT, reach=reach)
    at_picks = functools.partial(
        in_blocks, starts_RQ=pick(packed.starts_RT), places_RQ=packed.picks_RQ
    )

    def layer(x_RTD: jax.Array, number: jax.Array) -> tuple[jax.Array, Any]:
        block = jax.tree.map(lambda leaf: _layer_of(leaf, number), params["blocks"])
        common = _prefix_keys(prefix, number, config.dtype)
        return apply_block(block, config, x_RTD, rope, functools.partial(attend, along), common)

    x_RTD, stacked = jax.lax.scan(layer, x_RTD, jnp.arange(last))
    block = jax.tree.map(lambda leaf: leaf[last], params["blocks"])
    common = _prefix_keys(prefix, last, config.dtype)
    x_RQD, of_last = apply_block(
        block, config, x_RTD, rope, functools.partial(attend, at_picks), common, pick
    )
    layers = [jax.tree.map(lambda leaf, n=n: leaf[n], stacked) for n in range(last)]
    return final_norm(params, config, x_RQD), [*layers, of_last]


def _layer_of(stack: jax.Array, number: jax.Array) -> jax.Array:
    """One layer's weights, copied as integers where they are bfloat16.

    XLA:CPU would make a float32 copy of the whole stack first, at every call.
    """
    if stack.dtype != jnp.bfloat16:
        return stack[number]
    bits = jax.lax.bitcast_convert_type(stack, jnp.uint16)
    return jax.lax.bitcast_convert_type(bits[number], jnp.bfloat16)


def _take(array: jax.Array, places: jax.Array) -> jax.Array:
    """Positions of each row: [R, T, ...] at [R, Q] -> [R, Q, ...]."""
    index = places.reshape(*places.shape, *(1,) * (array.ndim - 2))
    return jnp.take_along_axis(array, index, axis=1)


def _prefix_keys(prefix: Prefix | None, layer: jax.Array | int, dtype: str) -> Keys | None:
    if prefix is None:
        return None
    k_KHP, v_KPH = prefix.keys[layer].astype(dtype), prefix.values[layer].astype(dtype)
    return Keys(k_KHP, v_KPH, (jnp.arange(v_KPH.shape[1]) < prefix.length)[None, None])
