"""Choosing the next token from logits.

Shape suffixes: B rows, V vocab_size.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class SamplingState(NamedTuple):
    """Per-row settings: temperature and top-p [B] float32, and a key per request [B]."""

    temperature_B: jax.Array
    top_p_B: jax.Array
    keys_B: jax.Array


def choose_tokens(
    logits_BV: jax.Array, sampling: SamplingState | None, steps_B: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The next token of each row and its log-probability at temperature 1.

    Rows of temperature 0 take the most likely token. The key of a row is folded with the number
    of tokens it has generated, so a sample does not depend on its neighbours in the batch.
    `sampling=None` means that every row is greedy.
    """
    tokens_B = jnp.argmax(logits_BV, axis=-1)
    if sampling is not None:
        keys_B = jax.vmap(jax.random.fold_in)(sampling.keys_B, steps_B)
        warm = jnp.maximum(sampling.temperature_B, 1e-6)[:, None]
        kept_BV = _nucleus(logits_BV / warm, sampling.top_p_B)
        sampled_B = jax.vmap(jax.random.categorical)(keys_B, kept_BV)
        tokens_B = jnp.where(sampling.temperature_B > 0, sampled_B, tokens_B)
    logprobs_B = jnp.take_along_axis(logits_BV, tokens_B[:, None], axis=-1)[:, 0]
    return tokens_B, logprobs_B - jax.nn.logsumexp(logits_BV, axis=-1)


def _nucleus(logits_BV: jax.Array, top_p_B: jax.Array) -> jax.Array:
    # Top-p (Holtzman et al. 2020, arXiv 1904.09751): a token stays while the probability of the
    # tokens before it is under top_p, so the most likely one always stays.
    sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    probabilities_BV = jax.nn.softmax(sorted_BV, axis=-1)
    before_BV = jnp.cumsum(probabilities_BV, axis=-1) - probabilities_BV
    lowest_B = jnp.min(
        jnp.where(before_BV < top_p_B[:, None], sorted_BV, jnp.inf), axis=-1, keepdims=True
    )
    return jnp.where(logits_BV >= lowest_B, logits_BV, -jnp.inf)
