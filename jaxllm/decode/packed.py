"""Compiled programs over packed rows: the own tokens of many requests side by side.

Products with weights run over the row, in which hardly a position is padding; attention runs over
the items of the row, each padded to the longest. What requests have in common, their prefix, was
run once, and its keys and values stand apart without a row axis. In the last layer keys and values
are made everywhere, but queries, output projection and feed-forward only where a next token is
wanted.

Shape suffixes: R rows, T length of a row, N items of a row, L tokens of an item, C picked tokens of
an item, I = R * N items, K key/value heads, P prefix slots, H head_dim, D hidden_size.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.decode.sampling import SamplingState, choose_tokens
from jaxllm.models.attention import Keys, attention_over
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

_QUERY_BLOCK = 128
# Positions whose logits are held at once where there may be many.
_SCORE_BLOCK = 256


class PackedRows(NamedTuple):
    """Tokens of several items a row, and where each stands."""

    tokens_RT: jax.Array
    positions_RT: jax.Array
    places_RNL: jax.Array  # of an item's tokens in the row; 0 behind its end
    origins_RT: jax.Array  # of a row's tokens: item * L + place in the item
    picks_RNC: jax.Array  # tokens of the item behind which one is wanted


class Prefix(NamedTuple):
    """Keys and values that every item sees, stacked by layer; the first `length` are real."""

    keys: jax.Array  # [num_layers, K, H, P]
    values: jax.Array  # [num_layers, K, P, H]
    length: jax.Array


@functools.partial(jax.jit, static_argnames=("config", "cache_dtype", "vocab_size"))
def prefill(
    params: Params,
    config: ModelConfig,
    packed: PackedRows,
    prefix: Prefix | None,
    sampling: SamplingState | None,
    *,
    cache_dtype: str,
    vocab_size: int,
) -> tuple[jax.Array, jax.Array, KeyValues]:
    """The first token of each item's answer, its log-probability, and all keys and values.

    Args:
        packed: with one pick an item, its last token.
        sampling: settings of each item, [I].

    Returns:
        Tokens and log-probabilities [I], and keys and values with a leading axis of items.
    """
    hidden_ICD, layers = _run(params, config, packed, prefix, cache_dtype)
    logits = masked_logits(params, config, hidden_ICD[:, 0], vocab_size)
    tokens, logprobs = choose_tokens(logits, sampling, jnp.zeros(len(logits), jnp.int32))
    return tokens, logprobs, layers


@functools.partial(jax.jit, static_argnames=("config", "cache_dtype"))
def run_prefix(
    params: Params, config: ModelConfig, tokens_P: jax.Array, *, cache_dtype: str
) -> KeyValues:
    """Keys and values of one beginning that many requests share, without an item axis.

    What stands behind the real tokens is padding: later positions never change earlier ones.
    """
    places = jnp.arange(tokens_P.shape[0])[None]
    packed = PackedRows(
        tokens_P[None], places, places[None], places, jnp.zeros((1, 1, 1), jnp.int32)
    )
    _, layers = _run(params, config, packed, None, cache_dtype)
    return [(k[0], v[0]) for k, v in layers]


@functools.partial(jax.jit, static_argnames=("config", "cache_dtype", "vocab_size"))
def score(
    params: Params,
    config: ModelConfig,
    packed: PackedRows,
    prefix: Prefix | None,
    targets_IC: jax.Array,
    *,
    cache_dtype: str,
    vocab_size: int,
) -> tuple[jax.Array, jax.Array]:
    """Log-probability of the target behind each pick, and whether it is the most likely, [I, C]."""
    hidden_ICD, _ = _run(params, config, packed, prefix, cache_dtype)
    items, picks, size = hidden_ICD.shape
    block = math.gcd(items * picks, _SCORE_BLOCK)

    def scored(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        hidden, targets = part
        logits = masked_logits(params, config, hidden, vocab_size)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        best = jnp.argmax(logits, axis=-1) == targets
        return chosen - jax.nn.logsumexp(logits, axis=-1), best

    blocks = (hidden_ICD.reshape(-1, block, size), targets_IC.reshape(-1, block))
    logprobs, is_best = jax.lax.map(scored, blocks)
    return logprobs.reshape(items, picks), is_best.reshape(items, picks)


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
    cache_dtype: str,
) -> tuple[jax.Array, KeyValues]:
    """Hidden states [I, C, D] of the picks after the final norm, and all keys and values."""
    rows, items, longest = packed.places_RNL.shape
    picks = packed.picks_RNC.shape[2]
    x_RTD = embed(params, config, packed.tokens_RT, packed.positions_RT)
    rope = rope_for(config, packed.positions_RT)
    picked_RNC = jnp.take_along_axis(packed.places_RNL, packed.picks_RNC, axis=2)
    pick = functools.partial(_take, places=picked_RNC.reshape(rows, -1))
    last = config.num_layers - 1

    def keys_and_values(k: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        k, v = (_items(part, packed.places_RNL).astype(cache_dtype) for part in (k, v))
        return jnp.transpose(k, (0, 2, 3, 1)), jnp.swapaxes(v, 1, 2)

    def attend_along(q, k, v, common):
        k, v = keys_and_values(k, v)
        out = _attend_along(_items(q, packed.places_RNL), k, v, common)
        out = out.reshape(rows, items * longest, *q.shape[2:])
        return _take(out, places=packed.origins_RT), (k, v)

    def attend_at_picks(q, k, v, common):
        k, v = keys_and_values(k, v)
        seen = packed.picks_RNC.reshape(-1, picks, 1) >= jnp.arange(longest)
        q_ICNH = q.reshape(rows * items, picks, *q.shape[2:])
        return attention_over(q_ICNH, [*common, Keys(k, v, seen)]).reshape(q.shape), (k, v)

    def layer(x_RTD: jax.Array, number: jax.Array) -> tuple[jax.Array, Any]:
        # A copy of one layer's weights at a time; a slice of the stack would copy them all.
        block = jax.tree.map(lambda leaf: leaf[number], params["blocks"])
        common = _prefix_keys(prefix, number)
        return apply_block(block, config, x_RTD, rope, attend_along, common)

    x_RTD, stacked = jax.lax.scan(layer, x_RTD, jnp.arange(last))
    block = jax.tree.map(lambda leaf: leaf[last], params["blocks"])
    common = _prefix_keys(prefix, last)
    x_RQD, of_last = apply_block(block, config, x_RTD, rope, attend_at_picks, common, pick)
    layers = [jax.tree.map(lambda leaf, n=n: leaf[n], stacked) for n in range(last)]
    hidden = final_norm(params, config, x_RQD)
    return hidden.reshape(rows * items, picks, -1), [*layers, of_last]


def _take(array: jax.Array, places: jax.Array) -> jax.Array:
    """Positions of each row: [R, T, ...] at [R, Q] -> [R, Q, ...]."""
    index = places.reshape(*places.shape, *(1,) * (array.ndim - 2))
    return jnp.take_along_axis(array, index, axis=1)


def _items(array: jax.Array, places_RNL: jax.Array) -> jax.Array:
    """A row's tokens by item: [R, T, ...] -> [I, L, ...]."""
    rows, items, longest = places_RNL.shape
    taken = _take(array, places=places_RNL.reshape(rows, -1))
    return taken.reshape(rows * items, longest, *array.shape[2:])


def _prefix_keys(prefix: Prefix | None, layer: jax.Array | int) -> list[Keys]:
    if prefix is None:
        return []
    k_KHP, v_KPH = prefix.keys[layer], prefix.values[layer]
    return [Keys(k_KHP, v_KPH, (jnp.arange(v_KPH.shape[1]) < prefix.length)[None, None])]


def _attend_along(
    q_ILNH: jax.Array, k_IKHL: jax.Array, v_IKLH: jax.Array, common: list[Keys]
) -> jax.Array:
    """Every token over the prefix and the tokens before it, a block of queries at a time."""
    length = q_ILNH.shape[1]
    parts = []
    for start in range(0, length, _QUERY_BLOCK):
        end = min(start + _QUERY_BLOCK, length)
        causal = (jnp.arange(start, end)[:, None] >= jnp.arange(end))[None]
        own = Keys(k_IKHL[..., :end], v_IKLH[:, :, :end], causal)
        parts.append(attention_over(q_ILNH[:, start:end], [*common, own]))
    return jnp.concatenate(parts, axis=1)
