"""Rotary position embeddings (Su et al. 2021, arXiv 2104.09864) in the half-split layout.

Shape suffixes: B batch, T length, N heads, H head_dim.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxllm.models.config import ModelConfig, RopeScaling


def rotary_frequencies(config: ModelConfig) -> np.ndarray:
    """Angle per position of each pair of channels, float32 [head_dim / 2]."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = (1.0 / np.float32(config.rope_theta) ** exponents).astype(np.float32)
    if config.rope_scaling is None:
        return frequencies
    return _scale(frequencies, config.rope_scaling).astype(np.float32)


def rotary_tables(config: ModelConfig, positions_BT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines for every position, float32 [B, T, 1, head_dim / 2] each."""
    angles = positions_BT[..., None].astype(jnp.float32) * rotary_frequencies(config)
    return jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]


def rotate(x_BTNH: jax.Array, tables: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Rotate channel i with channel i + head_dim / 2, computed in float32."""
    cos, sin = tables
    first, second = jnp.split(x_BTNH.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)
    return rotated.astype(x_BTNH.dtype)


def _scale(frequencies: np.ndarray, scaling: RopeScaling) -> np.ndarray:
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    # Llama 3.1: low frequencies are stretched, high ones kept, the middle interpolated.
    wavelengths = 2 * math.pi / frequencies
    rotations = scaling.original_max_positions / wavelengths
    share_kept = (rotations - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    share_kept = np.clip(share_kept, 0.0, 1.0)
    return (1 - share_kept) * frequencies / scaling.factor + share_kept * frequencies
