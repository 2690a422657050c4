"""The loss that a config names, compiled for what its data holds and the mesh it lies on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.mixture import Mixture, group_loss_capacity, loss_capacity
from jaxllm.input.preferences import max_pairs
from jaxllm.objectives.dpo import DpoSettings, dpo_loss, share_sft_weights
from jaxllm.objectives.sft import SftSettings, sft_loss
from jaxllm.objectives.train_state import Batch, Loss
from jaxllm.parallel.rules import num_batch_parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What the programs of a run depend on in its data.

    Attributes:
      num_steps: optimizer steps; None where only the data could say.
      loss_capacity: the most positions that carry loss in any row, or with "sft" in any of the
        groups of rows that devices hold of a batch; None: up to all of them.
      pairs_per_row: the most preferences of a row.
      num_sources: whose losses are told apart.
    """

    num_steps: int | None
    loss_capacity: int | None = None
    pairs_per_row: int = 0
    num_sources: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A loss, and what has to see all micro-batches of a step before it (see `make_train_step`)."""

    loss: Loss
    prepare: Callable[[Batch], Batch] = lambda batch: batch


def compares_pairs(config: ConfigDict) -> bool:
    """Whether `config.objective` compares pairs of answers.

    Raises:
        UserError: there is no such objective.
    """
    if config.objective not in ("sft", "dpo"):
        raise UserError(f"config.objective={config.objective!r}: use sft or dpo")
    return config.objective == "dpo"


def data_facts(config: ConfigDict, mixture: Mixture, mesh: Mesh) -> DataFacts:
    """What the programs of `config` depend on in its mixture."""
    plan, sources = mixture.plan, mixture.sources
    if compares_pairs(config):
        return DataFacts(
            num_steps=plan.num_steps,
            loss_capacity=loss_capacity(plan, sources),
            pairs_per_row=max_pairs(plan),
            num_sources=len(sources),
        )
    capacity = group_loss_capacity(
        plan,
        sources,
        num_groups=num_batch_parts(mesh),
        accumulation=config.input.accumulation,
    )
    return DataFacts(num_steps=plan.num_steps, loss_capacity=capacity, num_sources=len(sources))


def make_objective(config: ConfigDict, mesh: Mesh, facts: DataFacts) -> Objective:
    """The objective that `config.objective` names."""
    if not compares_pairs(config):
        loss = functools.partial(
            sft_loss,
            settings=SftSettings(**config.sft),
            loss_capacity=facts.loss_capacity,
            loss_groups=num_batch_parts(mesh),
            num_sources=facts.num_sources,
        )
        return Objective(loss=loss)
    settings = DpoSettings(**config.dpo)
    loss = functools.partial(
        dpo_loss,
        settings=settings,
        pairs_per_row=facts.pairs_per_row,
        loss_capacity=facts.loss_capacity,
        num_sources=facts.num_sources,
    )
    if settings.sft_weight:
        return Objective(loss=loss, prepare=share_sft_weights)
    return Objective(loss=loss)
