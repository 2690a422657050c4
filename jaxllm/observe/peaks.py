"""What this device can do at most: arithmetic and reading of memory, published or measured."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

_RUNS = 5
# Operations a second in bfloat16 by what JAX calls the device, from the makers' data sheets:
# docs.cloud.google.com/tpu/docs (a chip's) and NVIDIA's (dense, without sparsity).
_PUBLISHED = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU7x": 2307e12 / 2,  # two devices a chip
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
}


@functools.cache
def total_peak(dtype: str) -> float:
    """Operations per second of all devices together, by which a model's use of them is told.

    Published figures where the device is known, whatever `dtype` is: less than all of it is what
    float32 costs there. Others are measured in `dtype`; virtual CPU devices share one processor.
    """
    devices = jax.devices()
    published = _PUBLISHED.get(devices[0].device_kind)
    if published is not None:
        return published * len(devices)
    return matmul_peak(dtype) * (1 if devices[0].platform == "cpu" else len(devices))


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
