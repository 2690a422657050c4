"""Kernels as 8-bit integers with one factor for each output: a frozen base in a quarter of float32.

Shape suffixes: I in, O out.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

_LARGEST = 127  # -128 is left out, so that the range is symmetric


@jax.jit
def quantize(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """int8 [..., I, O] and float32 [..., O] whose product is nearest to `kernel`.

    The largest weight of each output becomes 127; the others are rounded to whole steps of it.
    """
    kernel = kernel.astype(jnp.float32)
    largest = jnp.max(jnp.abs(kernel), axis=-2)
    scale = jnp.where(largest > 0, largest, 1.0) / _LARGEST
    return jnp.round(kernel / scale[..., None, :]).astype(jnp.int8), scale


def quantize_blocks(params: dict[str, Any]) -> dict[str, Any]:
    """The weights with the kernels of all layers in 8 bits, as `config.kernels="int8"` has them.

    Embeddings, output projection, norms and biases stay as they are. Each kernel is taken out of
    `params` before the next one is quantized, so that the two never stand in memory together.
    """

    def visit(node: dict[str, Any]) -> dict[str, Any]:
        inner: dict[str, Any] = {}
        for key in list(node):
            child = node.pop(key)
            if isinstance(child, dict):
                inner[key] = visit(child)
            elif key == "kernel":
                inner["kernel"], inner["kernel_scale"] = quantize(child)
            else:
                inner[key] = child
        return inner

    return {**params, "blocks": visit(params.pop("blocks"))}
