"""Choosing the next token from logits.

Shape suffixes: B rows, V vocab_size.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxllm.decode.requests import Request


class SamplingState(NamedTuple):
    """Per-row settings, [B] each; 0 turns `temperature`, `top_k` and `min_p` off.

    `seen_BV` marks the tokens of prompt and answer, where any row has a repetition penalty.
    """

    temperature_B: jax.Array
    top_p_B: jax.Array
    top_k_B: jax.Array
    min_p_B: jax.Array
    penalty_B: jax.Array
    keys_B: jax.Array
    seen_BV: jax.Array | None


def sampling_state(
    requests: Sequence[Request | None], *, penalized: bool, vocab_size: int
) -> SamplingState:
    """The settings of a request a row; a row without one is greedy.

    The key of a request comes from its seed and id, so that a sample does not depend on the order
    or the neighbours it is asked in.
    """
    blank = Request(id="", prompt_ids=(), max_new_tokens=1)
    asked = [request or blank for request in requests]

    def array(values: list[Any], dtype: type) -> jax.Array:
        return jnp.asarray(np.array(values, dtype))

    seen = None
    if penalized:
        marks = np.zeros((len(asked), vocab_size), bool)
        for row, request in enumerate(asked):
            marks[row, list(request.prompt_ids)] = True
        seen = jnp.asarray(marks)
    return SamplingState(
        temperature_B=array([r.temperature for r in asked], np.float32),
        top_p_B=array([r.top_p for r in asked], np.float32),
        top_k_B=array([r.top_k for r in asked], np.int32),
        min_p_B=array([r.min_p for r in asked], np.float32),
        penalty_B=array([r.repetition_penalty for r in asked], np.float32),
        keys_B=_keys(
            array([r.seed for r in asked], np.uint32),
            array([zlib.crc32(r.id.encode()) for r in asked], np.uint32),
        ),
        seen_BV=seen,
    )


@jax.jit
def _keys(seeds: jax.Array, names: jax.Array) -> jax.Array:
    def key(seed: jax.Array, name: jax.Array) -> jax.Array:
        return jax.random.key_data(jax.random.fold_in(jax.random.key(seed), name))

    return jax.vmap(key)(seeds, names)


def choose_tokens(
    logits_BV: jax.Array, sampling: SamplingState | None, steps_B: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The next token of each row and its log-probability under the model.

    Rows of temperature 0 take the most likely token. The key of a row is folded with the number
    of tokens it has generated. `sampling=None` means that every row is greedy without a penalty.
    """
    if sampling is None:
        tokens_B = jnp.argmax(logits_BV, axis=-1)
    else:
        wanted_BV = _penalized(logits_BV, sampling)
        warm = jnp.maximum(sampling.temperature_B, 1e-6)[:, None]
        keys_B = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(sampling.keys_B), steps_B)
        kept_BV = _kept(wanted_BV / warm, sampling)
        sampled_B = jax.vmap(jax.random.categorical)(keys_B, kept_BV)
        greedy_B = jnp.argmax(wanted_BV, axis=-1)
        tokens_B = jnp.where(sampling.temperature_B > 0, sampled_B, greedy_B)
    logprobs_B = jnp.take_along_axis(logits_BV, tokens_B[:, None], axis=-1)[:, 0]
    return tokens_B.astype(jnp.int32), logprobs_B - jax.nn.logsumexp(logits_BV, axis=-1)


def mark_seen(sampling: SamplingState | None, tokens_B: jax.Array) -> SamplingState | None:
    """The state after each row has said its token; one that is done may say what it likes."""
    if sampling is None or sampling.seen_BV is None:
        return sampling
    rows = jnp.arange(tokens_B.shape[0])
    return sampling._replace(seen_BV=sampling.seen_BV.at[rows, tokens_B].set(True))


def _penalized(logits_BV: jax.Array, sampling: SamplingState) -> jax.Array:
    # CTRL's repetition penalty (arXiv 1909.05858), over prompt and answer as transformers has it.
    if sampling.seen_BV is None:
        return logits_BV
    penalty = sampling.penalty_B[:, None]
    lowered = jnp.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty)
    return jnp.where(sampling.seen_BV, lowered, logits_BV)


def _kept(logits_BV: jax.Array, sampling: SamplingState) -> jax.Array:
    """Logits of the tokens that may be drawn: the best k, the nucleus, and those likely enough.

    Nucleus: Holtzman et al. 2020, arXiv 1904.09751; a token stays while the probability of the
    tokens before it is under top_p, so the most likely one always stays. Min-p: arXiv 2407.01082,
    at least that share of the best token's probability.
    """
    sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    number_V = jnp.arange(sorted_BV.shape[-1])
    in_top_k_BV = (sampling.top_k_B[:, None] <= 0) | (number_V < sampling.top_k_B[:, None])
    probabilities_BV = jax.nn.softmax(jnp.where(in_top_k_BV, sorted_BV, -jnp.inf), axis=-1)
    before_BV = jnp.cumsum(probabilities_BV, axis=-1) - probabilities_BV
    is_likely_BV = probabilities_BV >= sampling.min_p_B[:, None] * probabilities_BV[:, :1]
    stays_BV = in_top_k_BV & (before_BV < sampling.top_p_B[:, None]) & is_likely_BV
    lowest_B1 = jnp.min(jnp.where(stays_BV, sorted_BV, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits_BV >= lowest_B1, logits_BV, -jnp.inf)
