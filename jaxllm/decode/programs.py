"""The compiled programs of the engine: prefill a batch, decode it, score continuations.

Prompts are padded on the left, so that every row writes its next key and value at one common
index. Weights come one tree a layer: XLA:CPU copies stacked weights at every dispatch.

Shape suffixes: B rows, P prompt slots, S cache slots, C continuation slots, E end ids, K
key/value heads, H head_dim, V vocab_size.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.decode.sampling import SamplingState, choose_tokens
from jaxllm.models.attention import causal_attention, masked_attention
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import (
    Params,
    apply_block,
    embed,
    final_norm,
    project_logits,
    rope_for,
)

Cache = list[tuple[jax.Array, jax.Array]]  # per layer: keys and values, [B, K, S, H] each


class DecodeState(NamedTuple):
    """Everything a batch carries from step to step."""

    cache: Cache
    pads_B: jax.Array  # left padding of each row
    cursor: jax.Array  # next cache slot to write, one for all rows
    tokens_BN: jax.Array  # generated so far
    counts_B: jax.Array  # how many of them are real
    logprobs_BN: jax.Array  # of each of them
    done_B: jax.Array
    ended_B: jax.Array  # done by an end-of-sequence id


class Limits(NamedTuple):
    """What ends a row: its budget, or one of its end ids (-1 fills rows that have fewer)."""

    budgets_B: jax.Array
    end_ids_BE: jax.Array


@functools.partial(jax.jit, static_argnames=("config",))
def unstack_layers(params: Params, config: ModelConfig) -> Params:
    """The same weights with `blocks` as a list of layers, cast to the compute dtype."""
    cast = jax.tree.map(lambda leaf: leaf.astype(config.dtype), params)
    layers = [
        jax.tree.map(lambda leaf, i=i: leaf[i], cast["blocks"]) for i in range(config.num_layers)
    ]
    return {**cast, "blocks": layers}


@functools.partial(jax.jit, static_argnames=("config", "vocab_size", "num_new"))
def prefill(
    params: Params,
    config: ModelConfig,
    prompts_BP: jax.Array,
    pads_B: jax.Array,
    limits: Limits,
    sampling: SamplingState | None,
    *,
    vocab_size: int,
    num_new: int,
) -> DecodeState:
    """Run the prompts and choose each row's first token; the cache has P + num_new slots."""
    rows, slots = prompts_BP.shape
    positions_BP = jnp.maximum(jnp.arange(slots) - pads_B[:, None], 0)
    segments_BP = (jnp.arange(slots) >= pads_B[:, None]).astype(jnp.int32)

    def attend(q, k, v, cache):
        del cache
        out = causal_attention(config, q, k, v, segments_BP)
        room = ((0, 0), (0, 0), (0, num_new), (0, 0))
        return out, tuple(jnp.pad(jnp.swapaxes(part, 1, 2), room) for part in (k, v))

    hidden, cache = _run_layers(params, config, prompts_BP, positions_BP, attend, None)
    logits_BV = _masked_logits(params, config, hidden[:, -1], vocab_size)
    state = DecodeState(
        cache=cache,
        pads_B=pads_B,
        cursor=jnp.int32(slots),
        tokens_BN=jnp.zeros((rows, num_new), jnp.int32),
        counts_B=jnp.zeros(rows, jnp.int32),
        logprobs_BN=jnp.zeros((rows, num_new), jnp.float32),
        done_B=limits.budgets_B <= 0,
        ended_B=jnp.zeros(rows, bool),
    )
    return _append(state, logits_BV, limits, sampling)


@functools.partial(jax.jit, static_argnames=("config", "vocab_size"), donate_argnames=("state",))
def decode(
    params: Params,
    config: ModelConfig,
    state: DecodeState,
    limits: Limits,
    sampling: SamplingState | None,
    max_steps: jax.Array,
    *,
    vocab_size: int,
) -> DecodeState:
    """Up to `max_steps` more tokens a row, in one loop that ends when every row is done."""
    slots = state.cache[0][0].shape[2]
    stop_at = state.cursor + max_steps

    def goes_on(state: DecodeState) -> jax.Array:
        return ~jnp.all(state.done_B) & (state.cursor < stop_at)

    def step(state: DecodeState) -> DecodeState:
        last_B1 = jnp.take_along_axis(state.tokens_BN, state.counts_B[:, None] - 1, axis=1)
        positions_B1 = (state.cursor - state.pads_B)[:, None]
        index_S = jnp.arange(slots)
        visible_B1S = (index_S >= state.pads_B[:, None, None]) & (index_S <= state.cursor)

        def attend(q, k, v, cache):
            keys, values = (
                jax.lax.dynamic_update_slice_in_dim(
                    old, jnp.swapaxes(new, 1, 2), state.cursor, axis=2
                )
                for old, new in zip(cache, (k, v), strict=True)
            )
            return masked_attention(q, keys, values, visible_B1S), (keys, values)

        hidden, cache = _run_layers(params, config, last_B1, positions_B1, attend, state.cache)
        logits_BV = _masked_logits(params, config, hidden[:, -1], vocab_size)
        state = state._replace(cache=cache, cursor=state.cursor + 1)
        return _append(state, logits_BV, limits, sampling)

    return jax.lax.while_loop(goes_on, step, state)


@functools.partial(jax.jit, static_argnames=("config", "vocab_size"))
def score(
    params: Params,
    config: ModelConfig,
    tokens_BP: jax.Array,
    segments_BP: jax.Array,
    where_BC: jax.Array,
    targets_BC: jax.Array,
    *,
    vocab_size: int,
) -> tuple[jax.Array, jax.Array]:
    """Log-probability of each target after slot `where`, and whether it is the most likely."""
    positions_BP = jnp.broadcast_to(jnp.arange(tokens_BP.shape[1]), tokens_BP.shape)

    def attend(q, k, v, cache):
        return causal_attention(config, q, k, v, segments_BP), cache

    caches = [None] * config.num_layers
    hidden, _ = _run_layers(params, config, tokens_BP, positions_BP, attend, caches)
    picked = jnp.take_along_axis(hidden, where_BC[..., None], axis=1)
    logits_BCV = _masked_logits(params, config, picked, vocab_size)
    chosen_BC = jnp.take_along_axis(logits_BCV, targets_BC[..., None], axis=-1)[..., 0]
    logprobs_BC = chosen_BC - jax.nn.logsumexp(logits_BCV, axis=-1)
    return logprobs_BC, jnp.argmax(logits_BCV, axis=-1) == targets_BC


def _run_layers(
    params: Params,
    config: ModelConfig,
    tokens: jax.Array,
    positions: jax.Array,
    attend: Any,
    caches: list[Any] | None,
) -> tuple[jax.Array, list[Any]]:
    x = embed(params, config, tokens, positions)
    rope = rope_for(config, positions)
    updated = []
    for layer, cache in zip(params["blocks"], caches or [None] * config.num_layers, strict=True):
        x, cache = apply_block(layer, config, x, rope, attend, cache)
        updated.append(cache)
    return final_norm(params, config, x), updated


def _masked_logits(
    params: Params, config: ModelConfig, hidden: jax.Array, vocab_size: int
) -> jax.Array:
    # Rows of the embedding beyond the tokenizer are padding and must never be chosen.
    logits = project_logits(params, config, hidden)
    return jnp.where(jnp.arange(config.vocab_size) < vocab_size, logits, -jnp.inf)


def _append(
    state: DecodeState, logits_BV: jax.Array, limits: Limits, sampling: SamplingState | None
) -> DecodeState:
    tokens_B, logprobs_B = choose_tokens(logits_BV, sampling, state.counts_B)
    live_B = ~state.done_B
    rows = jnp.arange(tokens_B.shape[0])
    slot_B = jnp.minimum(state.counts_B, state.tokens_BN.shape[1] - 1)

    def append(array_BN: jax.Array, new_B: jax.Array) -> jax.Array:
        return array_BN.at[rows, slot_B].set(jnp.where(live_B, new_B, array_BN[rows, slot_B]))

    counts_B = state.counts_B + live_B
    is_end_B = jnp.any(tokens_B[:, None] == limits.end_ids_BE, axis=-1)
    ended_B = state.ended_B | (live_B & is_end_B)
    return state._replace(
        tokens_BN=append(state.tokens_BN, tokens_B),
        counts_B=counts_B,
        logprobs_BN=append(state.logprobs_BN, logprobs_B),
        done_B=state.done_B | ended_B | (counts_B >= limits.budgets_B),
        ended_B=ended_B,
    )
