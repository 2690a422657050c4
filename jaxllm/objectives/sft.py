"""Supervised loss: next-token cross entropy where the template put loss weights.

The same function pre-trains (every token has weight 1) and fine-tunes (answers only).

Shape suffixes: B rows, T positions, C positions that carry loss, D hidden_size.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, forward, head_kernel
from jaxllm.objectives.cross_entropy import linear_cross_entropy


def sft_loss(
    params: Params,
    config: ModelConfig,
    batch: dict[str, jax.Array],
    *,
    loss_capacity: int | None = None,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Sums over a batch, not means, so that micro-batches add up to the whole.

    Args:
        batch: `tokens`, `targets`, `segment_ids`, `positions` (int32) and `loss_weights`
            (float32), each [B, T].
        loss_capacity: the most positions of any row that carry loss. Only that many per row are
            projected to the vocabulary; None projects all T.

    Returns:
        The weighted loss sum and the sum of weights, float32 scalars; nothing else to log.
    """
    hidden_BTD = forward(params, config, batch["tokens"], batch["positions"], batch["segment_ids"])
    targets, weights = batch["targets"], batch["loss_weights"]
    if loss_capacity is not None and loss_capacity < targets.shape[1]:
        _, where_BC = jax.lax.top_k((weights > 0).astype(jnp.int8), loss_capacity)
        hidden_BTD = jnp.take_along_axis(hidden_BTD, where_BC[..., None], axis=1)
        targets = jnp.take_along_axis(targets, where_BC, axis=1)
        weights = jnp.take_along_axis(weights, where_BC, axis=1)
    kernel = head_kernel(params, config).astype(config.dtype)
    return linear_cross_entropy(hidden_BTD, kernel, targets, weights), jnp.sum(weights), {}
