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
from typing import NamedTuple

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
from jaxllm.parallel.rules import constrain

# Per layer: keys [..., K, H, S] and values [..., K, S, H], as `attention.Keys` has them.
KeyValues = list[tuple[jax.Array, jax.Array]]

# The rotary tables; None where positions are learned.
Rope = tuple[jax.Array, jax.Array] | None

# Positions whose logits are held at once where there may be many.
_SCORE_BLOCK = 256


class PackedRows(NamedTuple):
    """Tokens of several items a row, and where a next token is wanted."""

    tokens_RT: jax.Array
    positions_RT: jax.Array
    starts_RT: jax.Array  # where in the row the token's item starts; padding is an item of its own
    picks_RQ: jax.Array


class Prefix(NamedTuple):
    """Keys and values that every item sees; the first `length` of their slots are real."""

    layers: KeyValues
    length: jax.Array


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
    x_RQD, layers = _run(params, config, packed, prefix, reach, cache_dtype)
    tokens, logprobs = _next_tokens(_ends(params), config, x_RQD, sampling, vocab_size)
    return tokens, logprobs, layers


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
    x_RQD, _ = _run(params, config, packed, prefix, reach, cache_dtype)
    return _target_scores(_ends(params), config, x_RQD, targets_RQ, vocab_size)


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
    """Hidden states [R, Q, D] of the picks before the final norm, and all keys and values.

    All layers but the last are one program, called again and again: it compiles once, and no
    weights are copied out of a stack.
    """
    x_RTD, rope = _embedded(_ends(params), config, packed)
    layers: KeyValues = []
    for number, block in enumerate(params["blocks"]):
        common = None if prefix is None else (*prefix.layers[number], prefix.length)
        x_RTD, keys_values = _layer(
            block,
            config,
            x_RTD,
            rope,
            packed,
            common,
            reach=reach,
            cache_dtype=cache_dtype,
            is_last=number == config.num_layers - 1,
        )
        layers.append(keys_values)
    return x_RTD, layers


def _ends(params: Params) -> Params:
    """What stands before and behind the layers."""
    return {name: leaf for name, leaf in params.items() if name != "blocks"}


@functools.partial(jax.jit, static_argnames=("config",))
def _embedded(ends: Params, config: ModelConfig, packed: PackedRows) -> tuple[jax.Array, Rope]:
    x_RTD = embed(ends, config, packed.tokens_RT, packed.positions_RT)
    return _laid_out(x_RTD), rope_for(config, packed.positions_RT)


@functools.partial(jax.jit, static_argnames=("config", "reach", "cache_dtype", "is_last"))
def _layer(
    block: Params,
    config: ModelConfig,
    x_RTD: jax.Array,
    rope: Rope,
    packed: PackedRows,
    prefix: tuple[jax.Array, jax.Array, jax.Array] | None,
    *,
    reach: int,
    cache_dtype: str,
    is_last: bool,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Hidden states behind one layer, in the last one of the picks alone, and keys and values."""
    pick = functools.partial(_take, places=packed.picks_RQ)
    common = None
    if prefix is not None:
        k_KHP, v_KPH, length = prefix
        is_real_11P = (jnp.arange(v_KPH.shape[1]) < length)[None, None]
        common = Keys(k_KHP.astype(config.dtype), v_KPH.astype(config.dtype), is_real_11P)

    def attend(q_RQNH, k_RTKH, v_RTKH, common):
        k_RKHT, v_RKTH = jnp.transpose(k_RTKH, (0, 2, 3, 1)), jnp.swapaxes(v_RTKH, 1, 2)
        starts_RT = packed.starts_RT
        if is_last:
            out_RQNH = in_blocks(
                q_RQNH, k_RKHT, v_RKTH, pick(starts_RT), packed.picks_RQ, prefix=common
            )
        else:
            out_RQNH = packed_attention(
                config, q_RQNH, k_RKHT, v_RKTH, starts_RT, prefix=common, reach=reach
            )
        return out_RQNH, (k_RKHT.astype(cache_dtype), v_RKTH.astype(cache_dtype))

    x, keys_values = apply_block(
        block, config, x_RTD, rope, attend, common, pick if is_last else None
    )
    return _laid_out(x), keys_values


def _laid_out(x_RTD: jax.Array) -> jax.Array:
    """As every layer takes and leaves them on a mesh, so that all layers are the same program.

    The row of a prefix is on every device of the batch.
    """
    return constrain(x_RTD, "batch" if len(x_RTD) > 1 else None, "length", "features")


@functools.partial(jax.jit, static_argnames=("config", "vocab_size"))
def _next_tokens(
    ends: Params,
    config: ModelConfig,
    x_RQD: jax.Array,
    sampling: SamplingState | None,
    vocab_size: int,
) -> tuple[jax.Array, jax.Array]:
    hidden = final_norm(ends, config, x_RQD).reshape(-1, config.hidden_size)
    logits = masked_logits(ends, config, hidden, vocab_size)
    return choose_tokens(logits, sampling, jnp.zeros(len(logits), jnp.int32))


@functools.partial(jax.jit, static_argnames=("config", "vocab_size"))
def _target_scores(
    ends: Params, config: ModelConfig, x_RQD: jax.Array, targets_RQ: jax.Array, vocab_size: int
) -> tuple[jax.Array, jax.Array]:
    hidden = final_norm(ends, config, x_RQD)
    block = math.gcd(targets_RQ.size, _SCORE_BLOCK)

    def scored(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        hidden, targets = part
        logits = masked_logits(ends, config, hidden, vocab_size)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        best = jnp.argmax(logits, axis=-1) == targets
        return chosen - jax.nn.logsumexp(logits, axis=-1), best

    blocks = (hidden.reshape(-1, block, config.hidden_size), targets_RQ.reshape(-1, block))
    logprobs, is_best = jax.lax.map(scored, blocks)
    return logprobs.reshape(targets_RQ.shape), is_best.reshape(targets_RQ.shape)


def _take(array: jax.Array, places: jax.Array) -> jax.Array:
    """Positions of each row: [R, T, ...] at [R, Q] -> [R, Q, ...]."""
    index = places.reshape(*places.shape, *(1,) * (array.ndim - 2))
    return jnp.take_along_axis(array, index, axis=1)
