"""Held-out loss: the training objective on examples the optimizer never sees."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
from etils import epath
from jax.sharding import NamedSharding

from jaxllm.evaluators.context import EvalContext
from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.sources import read_source
from jaxllm.input.tokenize import Truncation, tokenize
from jaxllm.models.decoder import Params
from jaxllm.objectives.sft import sft_loss
from jaxllm.parallel.rules import partition_spec
from jaxllm.text.spans import BosPolicy
from jaxllm.text.templates import get_template


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Fields of an entry with `type="loss"`; `source` and `split` as in the mixture."""

    source: str
    split: str = "dev"
    template: str = "chat"
    max_examples: int = 1000
    max_length: int = 2048
    rows: int = 8
    truncation: Truncation = "truncate"
    bos: BosPolicy = "auto"


class LossEvaluator:
    """Mean loss per trained token over a fixed set of examples, packed."""

    Settings = LossSettings

    def __init__(self, settings: LossSettings, context: EvalContext) -> None:
        self.context = context
        examples = read_source(
            settings.source,
            split=settings.split,
            data_dir=context.data_dir,
            max_examples=settings.max_examples or None,
        )
        self._tokenized = tokenize(
            examples,
            get_template(settings.template, context.tokenizer),
            context.tokenizer,
            name=settings.source,
            max_length=settings.max_length + 1,
            truncation=settings.truncation,
            bos=settings.bos,
            data_dir=context.data_dir,
        )
        self._plan = make_plan(
            [plan_source(self._tokenized)],
            seed=0,
            rows_per_step=settings.rows,
            row_length=settings.max_length,
            num_epochs=1,
        )

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """The mean loss; it is a number of the run's metrics and writes no folder of its own."""
        del step, tokens, folder
        total, weight = 0.0, 0.0
        for index in range(self._plan.num_steps):
            batch = make_batch(self._plan, index, [self._tokenized])
            part, part_weight = _loss(params, self.context.model_config, self._place(batch))
            total, weight = total + float(part), weight + float(part_weight)
        return {"loss": total / weight}

    def _place(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        if self.context.mesh is None:
            return {name: jax.numpy.asarray(array) for name, array in batch.items()}
        layout = NamedSharding(self.context.mesh, partition_spec(("batch", "length")))
        return jax.device_put(batch, layout)


@functools.partial(jax.jit, static_argnames="config")
def _loss(params, config, batch):
    return sft_loss(params, config, batch)[:2]
