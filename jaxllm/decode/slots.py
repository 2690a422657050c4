"""The rows that are being decoded: their keys and values on the device, and the step over them.

A row sees three kinds of keys: its prefix in the pool, which stands there once for all rows that
share it; its own prompt, copied in when the row is taken; and what it generated. The generated ones
of all rows are written at one common cursor of a ring, whatever their lengths, since keys carry
their positions with them: one update a step, in place.

Shape suffixes: B rows, K key/value heads, S prompt slots, G ring slots, P pool slots, H head_dim,
E end ids, M rows taken at once.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.decode.kernels import prefix_ids, step_attention
from jaxllm.decode.packed import KeyValues, Prefix, masked_logits, num_slots
from jaxllm.decode.sampling import SamplingState, choose_tokens, mark_seen
from jaxllm.models.attention import Keys
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, apply_block, embed, final_norm, rope_for


def empty_cache(config: ModelConfig, rows: tuple[int, ...], slots: int, dtype: str) -> KeyValues:
    """Keys and values of zeros, with the leading axes `rows`."""
    heads, size = config.num_kv_heads, config.head_dim
    return [
        (
            jnp.zeros((*rows, heads, size, slots), dtype),
            jnp.zeros((*rows, heads, slots, size), dtype),
        )
        for _ in range(config.num_layers)
    ]


class Rows(NamedTuple):
    """What is known of each row, as arrays over rows."""

    prompt_length: jax.Array
    prefix_start: jax.Array  # in the pool
    prefix_length: jax.Array
    budget: jax.Array
    end_ids: jax.Array  # [B, E]; -1 fills rows that have fewer


class Slots(NamedTuple):
    """Everything the decoded batch carries from step to step."""

    prompts: KeyValues  # S slots a row
    generated: KeyValues  # G slots a row, a ring
    cursor: jax.Array  # the ring slot that the next step writes
    rows: Rows
    tokens_BG: jax.Array  # generated so far
    logprobs_BG: jax.Array
    counts_B: jax.Array  # how many of them are real
    done_B: jax.Array
    ended_B: jax.Array  # done by an end id
    sampling: SamplingState | None


class Taken(NamedTuple):
    """Rows to take from a packed prefill, [M]; `slot` is out of range where there is none."""

    slot: jax.Array
    row: jax.Array  # of the packed prefill, and where in it the tokens start
    start: jax.Array
    prompt_length: jax.Array
    prefix_start: jax.Array
    prefix_length: jax.Array
    budget: jax.Array
    end_ids: jax.Array  # [M, E]
    token: jax.Array  # the first one, chosen by the prefill
    logprob: jax.Array


@functools.partial(
    jax.jit,
    static_argnames=("config", "rows", "prompt_slots", "ring_slots", "num_end_ids", "cache_dtype"),
)
def empty_slots(
    config: ModelConfig,
    *,
    rows: int,
    prompt_slots: int,
    ring_slots: int,
    num_end_ids: int,
    cache_dtype: str,
    sampling: SamplingState | None,
) -> Slots:
    """Slots of which every row is free (done)."""
    zeros = jnp.zeros(rows, jnp.int32)

    def cache(slots: int) -> KeyValues:
        return empty_cache(config, (rows,), slots, cache_dtype)

    return Slots(
        prompts=cache(prompt_slots),
        generated=cache(ring_slots),
        cursor=jnp.int32(0),
        rows=Rows(zeros, zeros, zeros, zeros, jnp.full((rows, num_end_ids), -1, jnp.int32)),
        tokens_BG=jnp.zeros((rows, ring_slots), jnp.int32),
        logprobs_BG=jnp.zeros((rows, ring_slots), jnp.float32),
        counts_B=zeros,
        done_B=jnp.ones(rows, bool),
        ended_B=jnp.zeros(rows, bool),
        sampling=sampling,
    )


@functools.partial(jax.jit, static_argnames=("longest",), donate_argnames=("slots",))
def take_rows(
    slots: Slots,
    packed: KeyValues,
    taken: Taken,
    count: jax.Array,
    sampling: SamplingState | None,
    *,
    longest: int,
) -> Slots:
    """Puts the first `count` of `taken` into their slots, with their keys from a packed prefill.

    No item has more than `longest` of them; there are so many prompt slots at least.
    """

    def copy(index: jax.Array, prompts: KeyValues) -> KeyValues:
        def copied(cache: jax.Array, new: jax.Array, axis: int) -> jax.Array:
            part = _from(new, taken.row[index], taken.start[index], longest, axis)
            return jax.lax.dynamic_update_slice(cache, part, (taken.slot[index], 0, 0, 0))

        return [
            (copied(k, new_k, 3), copied(v, new_v, 2))
            for (k, v), (new_k, new_v) in zip(prompts, packed, strict=True)
        ]

    def put(old: jax.Array, new: jax.Array) -> jax.Array:
        return old.at[taken.slot].set(new.astype(old.dtype), mode="drop")

    rows = Rows(
        prompt_length=put(slots.rows.prompt_length, taken.prompt_length),
        prefix_start=put(slots.rows.prefix_start, taken.prefix_start),
        prefix_length=put(slots.rows.prefix_length, taken.prefix_length),
        budget=put(slots.rows.budget, taken.budget),
        end_ids=put(slots.rows.end_ids, taken.end_ids),
    )
    return slots._replace(
        prompts=jax.lax.fori_loop(0, count, copy, slots.prompts),
        rows=rows,
        tokens_BG=slots.tokens_BG.at[taken.slot, 0].set(taken.token, mode="drop"),
        logprobs_BG=slots.logprobs_BG.at[taken.slot, 0].set(taken.logprob, mode="drop"),
        counts_B=put(slots.counts_B, jnp.ones_like(taken.slot)),
        done_B=put(slots.done_B, jnp.zeros_like(taken.slot)),
        ended_B=put(slots.ended_B, jnp.zeros_like(taken.slot)),
        sampling=None if sampling is None else jax.tree.map(put, slots.sampling, sampling),
    )


def _from(array: jax.Array, row: jax.Array, start: jax.Array, size: int, axis: int) -> jax.Array:
    """`size` slots of one row along `axis`, those from `start` first; fewer if it has fewer."""
    size = min(size, array.shape[axis])
    begin = jnp.minimum(start, array.shape[axis] - size)
    of_row = jax.lax.dynamic_index_in_dim(array, row)
    part = jax.lax.dynamic_slice_in_dim(of_row, begin, size, axis)
    twice = jnp.concatenate([part, part], axis=axis)
    return jax.lax.dynamic_slice_in_dim(twice, start - begin, size, axis)


def resize_prompts(slots: Slots, size: int) -> Slots:
    """The same rows with `size` prompt slots; no live prompt may reach beyond them.

    `slots` are of no use afterwards: a layer's old keys and values are dropped before the next
    layer's new ones are made, which would otherwise stand beside all old ones.
    """
    for number, layer in enumerate(slots.prompts):
        slots.prompts[number] = jax.block_until_ready(_resized(layer, size))
    return slots


@functools.partial(jax.jit, static_argnames=("size",))
def _resized(layer: tuple[jax.Array, jax.Array], size: int) -> tuple[jax.Array, jax.Array]:
    k, v = layer
    more = size - v.shape[-2]
    if more <= 0:
        return k[..., :size], v[:, :, :size]
    k = jnp.pad(k, ((0, 0), (0, 0), (0, 0), (0, more)))
    return k, jnp.pad(v, ((0, 0), (0, 0), (0, more), (0, 0)))


@functools.partial(jax.jit, donate_argnames=("pool",))
def place_prefix(pool: KeyValues, prefix: KeyValues, start: jax.Array) -> KeyValues:
    """Writes the keys and values of a prefix into the pool from slot `start`."""
    put = jax.lax.dynamic_update_slice_in_dim
    return [
        (put(k, new_k, start, axis=2), put(v, new_v, start, axis=1))
        for (k, v), (new_k, new_v) in zip(pool, prefix, strict=True)
    ]


@functools.partial(jax.jit, static_argnames=("size",))
def prefix_of(pool: KeyValues, start: jax.Array, length: jax.Array, size: int) -> Prefix:
    """The prefix of `length` tokens in the `size` slots of the pool from `start`."""
    part = jax.lax.dynamic_slice_in_dim
    return Prefix(
        [(part(k, start, size, axis=2), part(v, start, size, axis=1)) for k, v in pool], length
    )


@functools.partial(
    jax.jit, static_argnames=("config", "min_steps", "vocab_size"), donate_argnames=("slots",)
)
def decode(
    params: Params,
    config: ModelConfig,
    slots: Slots,
    pool: KeyValues | None,
    max_steps: jax.Array,
    wanted_free: jax.Array,
    *,
    min_steps: int,
    vocab_size: int,
) -> tuple[Slots, jax.Array]:
    """Steps, and how many: until `wanted_free` rows are free, or `max_steps` are done.

    At least `min_steps` are, unless all rows are free before.
    """

    def goes_on(carry: tuple[Slots, jax.Array]) -> jax.Array:
        slots, steps = carry
        free, rows = jnp.sum(slots.done_B), slots.done_B.shape[0]
        is_early = free < jnp.minimum(wanted_free, rows)
        if min_steps > 1:
            is_early |= (steps < min_steps) & (free < rows)
        return is_early & (steps < max_steps)

    def step(carry: tuple[Slots, jax.Array]) -> tuple[Slots, jax.Array]:
        slots, steps = carry
        return _step(params, config, slots, pool, vocab_size), steps + 1

    return jax.lax.while_loop(goes_on, step, (slots, jnp.int32(0)))


def _step(
    params: Params, config: ModelConfig, slots: Slots, pool: KeyValues | None, vocab_size: int
) -> Slots:
    rows = slots.rows
    last_B1 = jnp.take_along_axis(slots.tokens_BG, slots.counts_B[:, None] - 1, axis=1)
    positions_B1 = (rows.prefix_length + rows.prompt_length + slots.counts_B - 1)[:, None]
    ring_slots = slots.tokens_BG.shape[1]
    age_G = (slots.cursor - jnp.arange(ring_slots)) % ring_slots
    in_prompt = (jnp.arange(num_slots(slots.prompts)) < rows.prompt_length[:, None])[:, None]
    in_ring = (age_G < slots.counts_B[:, None])[:, None]
    place_P = jnp.arange(0 if pool is None else num_slots(pool)) - rows.prefix_start[:, None]
    in_pool = ((place_P >= 0) & (place_P < rows.prefix_length[:, None]))[:, None]
    ids = None if pool is None else prefix_ids(rows.prefix_start, in_pool, ~slots.done_B)
    x_B1D = embed(params, config, last_B1, positions_B1)
    rope = rope_for(config, positions_B1)
    put = jax.lax.dynamic_update_slice_in_dim
    generated: KeyValues = []
    for number, block in enumerate(params["blocks"]):

        def attend(q, k, v, ring, number=number):
            ring_k, ring_v = ring
            new_k, new_v = jnp.transpose(k, (0, 2, 3, 1)), jnp.swapaxes(v, 1, 2)
            k = put(ring_k, new_k.astype(ring_k.dtype), slots.cursor, axis=3)
            v = put(ring_v, new_v.astype(ring_v.dtype), slots.cursor, axis=2)
            prompt_k, prompt_v = slots.prompts[number]
            own = [Keys(prompt_k, prompt_v, in_prompt), Keys(k, v, in_ring)]
            prefixes = None
            if pool is not None:
                pool_k, pool_v = pool[number]
                prefixes = Keys(pool_k, pool_v, in_pool)
            return step_attention(config, q, own, prefixes, ids), (k, v)

        x_B1D, ring = apply_block(block, config, x_B1D, rope, attend, slots.generated[number])
        generated.append(ring)
    hidden_BD = final_norm(params, config, x_B1D)[:, 0]
    logits_BV = masked_logits(params, config, hidden_BD, vocab_size)
    tokens_B, logprobs_B = choose_tokens(logits_BV, slots.sampling, slots.counts_B)
    return _appended(
        slots._replace(generated=generated, cursor=(slots.cursor + 1) % ring_slots),
        tokens_B,
        logprobs_B,
    )


def _appended(slots: Slots, tokens_B: jax.Array, logprobs_B: jax.Array) -> Slots:
    live_B = ~slots.done_B
    number = jnp.arange(tokens_B.shape[0])
    place_B = jnp.minimum(slots.counts_B, slots.tokens_BG.shape[1] - 1)

    def append(array_BG: jax.Array, new_B: jax.Array) -> jax.Array:
        return array_BG.at[number, place_B].set(jnp.where(live_B, new_B, array_BG[number, place_B]))

    counts_B = slots.counts_B + live_B
    is_end_B = jnp.any(tokens_B[:, None] == slots.rows.end_ids, axis=-1)
    ended_B = slots.ended_B | (live_B & is_end_B)
    return slots._replace(
        tokens_BG=append(slots.tokens_BG, tokens_B),
        logprobs_BG=append(slots.logprobs_BG, logprobs_B),
        counts_B=counts_B,
        done_B=slots.done_B | ended_B | (counts_B >= slots.rows.budget),
        ended_B=ended_B,
        sampling=mark_seen(slots.sampling, tokens_B),
    )
