"""Supervised loss: next-token cross entropy where the template put loss weights.

The same function pre-trains (every token has weight 1) and fine-tunes (answers only).

Shape suffixes: B rows or groups of rows, T positions, C positions that carry loss, D hidden_size.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, forward, head_kernel
from jaxllm.objectives.by_source import sums_by_source
from jaxllm.objectives.cross_entropy import (
    linear_cross_entropy,
    take_positions,
    trained_positions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SftSettings:
    """`config.sft`: what is added to the cross entropy (see `linear_cross_entropy`)."""

    label_smoothing: float = 0.0
    z_loss: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"config.sft.label_smoothing={self.label_smoothing}: use 0 to below 1, such as 0.1"
            )
        if self.z_loss < 0:
            raise UserError(f"config.sft.z_loss={self.z_loss}: use 0 or more, such as 1e-4")


def sft_loss(
    params: Params,
    config: ModelConfig,
    batch: dict[str, jax.Array],
    *,
    settings: SftSettings = SftSettings(),
    loss_capacity: int | None = None,
    loss_groups: int | None = None,
    num_sources: int = 0,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Sums over a batch, not means, so that micro-batches add up to the whole.

    Args:
        batch: `tokens`, `targets`, `segment_ids`, `positions` (int32) and `loss_weights`
            (float32), each [B, T]; `source_ids` (int32 [B, T]) where sources are told apart; with
            adapters that drop, `dropout_key`.
        loss_capacity: the most positions of any group that carry loss. Only that many per group
            are projected to the vocabulary; None projects all.
        loss_groups: groups of neighbouring rows, which must divide B; None makes each row one. With
            as many as the devices among which the batch is split, each gathers from its own rows.
        num_sources: of the mixture, to tell the loss of each; 0 tells none.

    Returns:
        The weighted loss sum and the sum of weights, float32 scalars, and both apart for each
        source, [num_sources].
    """
    hidden_BTD = forward(
        params,
        config,
        batch["tokens"],
        batch["positions"],
        batch["segment_ids"],
        batch.get("dropout_key"),
    )
    hidden_BTD, targets_BT, weights_BT = (
        array.reshape(loss_groups or len(array), -1, *array.shape[2:])
        for array in (hidden_BTD, batch["targets"], batch["loss_weights"])
    )
    where_BC = trained_positions(weights_BT, loss_capacity)
    hidden_BCD, targets_BC, weights_BC = (
        take_positions(array, where_BC) for array in (hidden_BTD, targets_BT, weights_BT)
    )
    kernel = head_kernel(params, config).astype(config.dtype)
    loss_sum, losses_BC = linear_cross_entropy(
        hidden_BCD,
        kernel,
        targets_BC,
        weights_BC,
        label_smoothing=settings.label_smoothing,
        z_loss=settings.z_loss,
    )
    if not num_sources:
        return loss_sum, jnp.sum(weights_BC), {}
    source_ids_BC = take_positions(batch["source_ids"].reshape(weights_BT.shape), where_BC)
    extras = {
        "source_losses": sums_by_source(losses_BC * weights_BC, source_ids_BC, num_sources),
        "source_weights": sums_by_source(weights_BC, source_ids_BC, num_sources),
    }
    return loss_sum, jnp.sum(weights_BC), extras
