"""Preferences held out of training: how often the model takes the side of the chosen answer."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
from etils import epath

from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.loss import LossSettings, place, read_held_out_sources
from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan
from jaxllm.input.preferences import max_pairs, pair_source, unfold_pairs
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.objectives.dpo import DpoSettings, dpo_loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceSettings(LossSettings):
    """Fields of an entry with `type="preference"`: those of `type="loss"`, of pairs.

    `max_length` positions hold both answers of a pair with their prompts.
    """


class PreferenceEvaluator:
    """Accuracy over a fixed set of pairs, packed.

    In a run on preferences an answer is taken when it became more likely than the other, measured
    against the reference, as the training log has it; elsewhere when it is more likely as it is.
    """

    Settings = PreferenceSettings

    def __init__(self, settings: PreferenceSettings, context: EvalContext) -> None:
        self.context = context
        sources, row_length = read_held_out_sources(settings, context, pairs=True)
        plan = make_plan(
            [pair_source(source) for source in sources],
            seed=0,
            rows_per_step=settings.rows,
            row_length=row_length,
            num_epochs=1,
        )
        self._plan = unfold_pairs(plan)
        if context.reference is None:
            self._dpo = DpoSettings()
            self._tokenized = [
                dataclasses.replace(source, reference_log_probs=np.zeros_like(source.loss_weights))
                for source in sources
            ]
        else:
            self._dpo = DpoSettings(**context.config["dpo"] | {"sft_weight": 0.0})
            self._tokenized = [
                context.reference.annotate(source, rows=settings.rows, row_length=row_length)
                for source in sources
            ]

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """The accuracy, and against a reference the mean margin and loss of the objective.

        They are numbers of the run's metrics; no folder is written.
        """
        del step, tokens, folder
        totals: dict[str, float] = {}
        for index in range(self._plan.num_steps):
            batch = place(make_batch(self._plan, index, self._tokenized), self.context)
            sums = _sums(params, batch, self.context.architecture, self._dpo, max_pairs(self._plan))
            for name, value in sums.items():
                totals[name] = totals.get(name, 0.0) + float(value)
        means = {name: value / totals["pairs"] for name, value in totals.items()}
        if self.context.reference is None:
            return {"likelihood_accuracy": means["rewards/accuracies"]}
        return {
            "accuracy": means["rewards/accuracies"],
            "margin": means["rewards/margins"],
            "loss": means["loss"],
        }


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _sums(
    params: Params,
    batch: dict[str, jax.Array],
    config: ModelConfig,
    settings: DpoSettings,
    pairs_per_row: int,
) -> dict[str, jax.Array]:
    loss, pairs, extras = dpo_loss(
        params, config, batch, settings=settings, pairs_per_row=pairs_per_row
    )
    return {"loss": loss, "pairs": pairs, **extras}
