"""Sums of a batch apart for each source of the mixture, so that the loss of each is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def sums_by_source(values: jax.Array, source_ids: jax.Array, num_sources: int) -> jax.Array:
    """The sum of each source's values, float32 [num_sources]; both arrays are of one shape."""
    # No scatter: devices add up their own part, and then so many numbers.
    is_of = source_ids[..., None] == jnp.arange(num_sources)
    return jnp.sum(jnp.where(is_of, values[..., None], 0.0), axis=range(values.ndim))
