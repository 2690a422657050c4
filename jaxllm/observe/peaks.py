"""What this device can do at most, measured: arithmetic and reading of memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

_RUNS = 5


def matmul_peak(dtype: str, *, size: int = 2048) -> float:
    """Operations per second of a square product in `dtype` into float32, the best of a few."""
    left = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = jax.jit(lambda a, b: jnp.dot(a, b, preferred_element_type=jnp.float32))
    return 2.0 * size**3 / _fastest(lambda: product(left, left))


def read_bandwidth(*, size: int = 1 << 26) -> float:
    """Bytes per second of a sum over `size` float32 numbers, the best of a few.

    Neighbours in memory are summed: along the other axis XLA:CPU reads a column at a time, at a
    fiftieth of the speed. Nothing is written, so that fresh pages do not count.
    """
    array = jnp.ones((size >> 14, 1 << 14), jnp.float32)
    total = jax.jit(lambda a: jnp.sum(a, axis=1))
    return array.nbytes / _fastest(lambda: total(array))


def _fastest(run: Callable[[], jax.Array]) -> float:
    run().block_until_ready()
    seconds = []
    for _ in range(_RUNS):
        clock = time.monotonic()
        run().block_until_ready()
        seconds.append(time.monotonic() - clock)
    return min(seconds)
