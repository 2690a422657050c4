"""Direct preference optimization: the chosen answer more likely than the rejected one.

Rafailov et al. (arXiv 2305.18290) with the sigmoid loss, Azar et al. (arXiv 2310.12036) with IPO's.
What "more likely" means is measured against a reference model, the weights that training began
with: log-probabilities of theirs come with the batch, or their weights beside those trained.

Shape suffixes: B rows, T positions, C positions that carry loss, P pairs of a row, D hidden_size.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, forward, head_kernel
from jaxllm.objectives.by_source import sums_by_source
from jaxllm.objectives.cross_entropy import linear_log_probs, take_positions, trained_positions

# The tree of weights holds a live reference model under this name.
REFERENCE = "reference"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DpoSettings:
    """`config.dpo`.

    Attributes:
      loss: "sigmoid", or "ipo", which compares log-ratios averaged over each answer's tokens.
      beta: how dear it is to leave the reference; IPO's tau.
      label_smoothing: the share of pairs taken to be labelled the wrong way round (conservative
        DPO, Mitchell 2023; sigmoid only).
      sft_weight: of the mean loss of the chosen answers' tokens, which is added (the RPO loss of
        arXiv 2404.19733, with the mean over all tokens of a step).
      reference: "cached" computes the reference model's log-probabilities once and keeps them on
        disk; "live" computes them in every step.
    """

    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    beta: float = 0.1
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    reference: Literal["cached", "live"] = "cached"

    def __post_init__(self) -> None:
        for field, allowed in (("loss", ("sigmoid", "ipo")), ("reference", ("cached", "live"))):
            if getattr(self, field) not in allowed:
                raise UserError(
                    f"config.dpo.{field}={getattr(self, field)!r}: use {' or '.join(allowed)}"
                )
        if not self.beta > 0:
            raise UserError(f"config.dpo.beta={self.beta}: it must be above 0, such as 0.1")
        if not 0 <= self.label_smoothing < 0.5:
            raise UserError(
                f"config.dpo.label_smoothing={self.label_smoothing}: use 0 to below 0.5"
            )
        if self.label_smoothing and self.loss == "ipo":
            raise UserError(
                "config.dpo.label_smoothing has no meaning with loss='ipo': set it to 0"
            )
        if self.sft_weight < 0:
            raise UserError(f"config.dpo.sft_weight={self.sft_weight}: it must be 0 or more")


def dpo_loss(
    params: Params,
    config: ModelConfig,
    batch: dict[str, jax.Array],
    *,
    settings: DpoSettings,
    pairs_per_row: int,
    loss_capacity: int | None = None,
    num_sources: int = 0,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Sums over the pairs of a batch, not means, so that micro-batches add up to the whole.

    Nothing is dropped, as policy and reference would drop different things (TRL's trainer turns
    dropout off as well).

    Args:
        params: the model's weights, and under `REFERENCE` those of the reference model, which has
            no adapters, unless the batch has what it said.
        batch: as `sft_loss` takes it, with chosen answers in the segments 1, 3, ... and each one's
            rejected answer in the segment after. `reference_log_probs` (float32 [B, T]) are the
            reference model's of the targets; `sft_weights` come from `share_sft_weights`.
        pairs_per_row: P, the most pairs that a row holds.
        loss_capacity, num_sources: as in `sft_loss`.

    Returns:
        The loss sum, the number of pairs, and sums to log: `rewards/*` are beta times the
        log-ratios to the reference, `logps/*` the log-probabilities of whole answers; loss and
        pairs apart for each source, [num_sources].
    """
    params = dict(params)
    reference = params.pop(REFERENCE, None)
    where_BC = trained_positions(batch["loss_weights"], loss_capacity)
    weights_BC = take_positions(batch["loss_weights"], where_BC)
    log_probs_BC = target_log_probs(params, config, batch, where_BC)
    if reference is None:
        reference_BC = take_positions(batch["reference_log_probs"], where_BC)
    else:
        plain = config.replace(lora=None)
        reference_BC = target_log_probs(jax.lax.stop_gradient(reference), plain, batch, where_BC)

    segments_BC = take_positions(batch["segment_ids"], where_BC)
    number_BCS = segments_BC[..., None] == 1 + jnp.arange(2 * pairs_per_row)

    def of_answers(array_BC: jax.Array) -> jax.Array:
        """Sums over each answer, [2, B, P]: of the chosen, of the rejected."""
        # No matrix product: that would round float32 on some devices.
        sums_BS = jnp.sum(jnp.where(number_BCS, array_BC[..., None], 0.0), axis=1)
        return jnp.moveaxis(sums_BS.reshape(-1, pairs_per_row, 2), -1, 0)

    lengths = of_answers(weights_BC)
    is_pair_BP = lengths[0] > 0
    # Differences before sums: the two sums are large and nearly the same.
    ratios = of_answers((log_probs_BC - reference_BC) * weights_BC)
    margins_BP = ratios[0] - ratios[1]
    match settings.loss:
        case "sigmoid":
            smoothing, logits_BP = settings.label_smoothing, settings.beta * margins_BP
            losses_BP = -(1 - smoothing) * jax.nn.log_sigmoid(logits_BP)
            losses_BP -= smoothing * jax.nn.log_sigmoid(-logits_BP)
        case "ipo":
            means = ratios / jnp.maximum(lengths, 1.0)
            losses_BP = (means[0] - means[1] - 1 / (2 * settings.beta)) ** 2

    def total(array_BP: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(is_pair_BP, array_BP, 0.0))

    loss_sum = total(losses_BP)
    answers = of_answers(log_probs_BC * weights_BC)
    extras = {
        "rewards/chosen": settings.beta * total(ratios[0]),
        "rewards/rejected": settings.beta * total(ratios[1]),
        "rewards/margins": settings.beta * total(margins_BP),
        "rewards/accuracies": total((margins_BP > 0).astype(jnp.float32)),
        "logps/chosen": total(answers[0]),
        "logps/rejected": total(answers[1]),
    }
    if settings.sft_weight:
        extras["sft_loss"] = -jnp.sum(log_probs_BC * take_positions(batch["sft_weights"], where_BC))
        loss_sum += settings.sft_weight * extras["sft_loss"]
    if num_sources:
        source_ids_BC = take_positions(batch["source_ids"], where_BC)
        source_ids_BCS = jnp.where(number_BCS, source_ids_BC[..., None], 0)
        source_ids_BP = jnp.max(source_ids_BCS, axis=1)[:, ::2]
        by_source = functools.partial(sums_by_source, num_sources=num_sources)
        losses_BP = jnp.where(is_pair_BP, losses_BP, 0.0)
        extras["source_losses"] = by_source(losses_BP, source_ids_BP)
        extras["source_weights"] = by_source(is_pair_BP.astype(jnp.float32), source_ids_BP)
        if settings.sft_weight:
            sft_BC = -log_probs_BC * take_positions(batch["sft_weights"], where_BC)
            extras["source_losses"] += settings.sft_weight * by_source(sft_BC, source_ids_BC)
    return loss_sum, jnp.sum(is_pair_BP, dtype=jnp.float32), extras


def target_log_probs(
    params: Params,
    config: ModelConfig,
    batch: dict[str, jax.Array],
    where_BC: jax.Array | None,
) -> jax.Array:
    """The log-probability of each target at the positions given, float32 [B, C]."""
    hidden_BTD = forward(
        params,
        config,
        batch["tokens"],
        batch["positions"],
        batch["segment_ids"],
        batch.get("dropout_key"),
    )
    kernel = head_kernel(params, config).astype(config.dtype)
    targets_BC = take_positions(batch["targets"], where_BC)
    return linear_log_probs(take_positions(hidden_BTD, where_BC), kernel, targets_BC)


def share_sft_weights(batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Adds `sft_weights` to the batch of a whole step, arrays [..., B, T].

    They make the sum over the chosen answers' tokens, divided by the number of pairs, the mean over
    these tokens, whatever micro-batches the step is cut into.
    """
    is_chosen = batch["segment_ids"] % 2 == 1
    weights = jnp.where(is_chosen, batch["loss_weights"], 0.0)
    num_pairs = jnp.sum(jnp.max(batch["segment_ids"], axis=-1)) // 2
    return {**batch, "sft_weights": weights * (num_pairs / jnp.maximum(jnp.sum(weights), 1.0))}
