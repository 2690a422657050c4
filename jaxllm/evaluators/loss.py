"""Held-out loss: the training objective on examples the optimizer never sees."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.evaluators.context import EvalContext
from jaxllm.input.batches import make_batch
from jaxllm.input.mixture import read_held_out
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.preferences import tokenize_pairs
from jaxllm.input.sources import read_source
from jaxllm.input.tokenize import Truncation, tokenize
from jaxllm.input.tokens import TokenizedSource
from jaxllm.models.decoder import Params
from jaxllm.objectives.sft import sft_loss
from jaxllm.parallel import placement
from jaxllm.parallel.rules import partition_spec
from jaxllm.text.spans import BosPolicy
from jaxllm.text.templates import get_template


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Fields of an entry with `type="loss"`.

    Without a `source` the data is what the entries of `config.mixture` hold out of training, read
    as the rest of them is; `max_examples` and `rows` alone are then asked for. `source`, `split`
    and `held_out` are as in the mixture: with `held_out` only that share of the source.
    `max_examples` are taken of each source.
    """

    source: str = ""
    split: str = "dev"
    held_out: float = 0.0
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
        sources, row_length = read_held_out_sources(settings, context)
        self._tokenized = sources
        self._plan = make_plan(
            [plan_source(source) for source in sources],
            seed=0,
            rows_per_step=settings.rows,
            row_length=row_length,
            num_epochs=1,
        )

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """The mean loss; it is a number of the run's metrics and writes no folder of its own."""
        del step, tokens, folder
        total, weight = 0.0, 0.0
        for index in range(self._plan.num_steps):
            batch = place(make_batch(self._plan, index, self._tokenized), self.context)
            part, part_weight = _loss(params, self.context.architecture, batch)
            total, weight = total + float(part), weight + float(part_weight)
        return {"loss": total / weight}


def read_held_out_sources(
    settings: LossSettings, context: EvalContext, *, pairs: bool = False
) -> tuple[list[TokenizedSource], int]:
    """The sources that settings name, and the length of the rows they fit in."""
    if settings.source:
        sources, row_length = [_read(settings, context, pairs)], settings.max_length
    else:
        sources, row_length = _held_out_of_mixture(context, pairs)
    if settings.max_examples:
        count = settings.max_examples * (2 if pairs else 1)
        sources = [source.first(count) for source in sources]
    return sources, row_length


def place(batch: dict[str, np.ndarray], context: EvalContext) -> dict[str, jax.Array]:
    """A batch on the devices that the context's model lies on."""
    if context.mesh is None:
        return {name: jax.numpy.asarray(array) for name, array in batch.items()}
    layout = NamedSharding(context.mesh, partition_spec(("batch", "length")))
    return {name: placement.place(array, layout) for name, array in batch.items()}


def _read(settings: LossSettings, context: EvalContext, pairs: bool) -> TokenizedSource:
    source = read_source(
        settings.source,
        split=settings.split,
        data_dir=context.data_dir,
        # Of a share held out nobody knows where the first ones stand.
        max_examples=None if settings.held_out else settings.max_examples or None,
    )
    template = get_template(settings.template, context.tokenizer)
    common: dict[str, Any] = {
        "name": settings.source,
        "truncation": settings.truncation,
        "bos": settings.bos,
        "held_out": settings.held_out,
        "part": "held_out" if settings.held_out else "train",
        "data_dir": context.data_dir,
    }
    length = settings.max_length
    if pairs:
        return tokenize_pairs(source, template, context.tokenizer, row_length=length, **common)
    return tokenize(source, template, context.tokenizer, max_length=length + 1, **common)


def _held_out_of_mixture(context: EvalContext, pairs: bool) -> tuple[list[TokenizedSource], int]:
    if not context.config.get("mixture"):
        raise UserError(
            "an evaluator without a source takes what config.mixture holds out of "
            "training, and there is no mixture: set its source"
        )
    config = ConfigDict(context.config)
    held_out = read_held_out(config, context.tokenizer, data_dir=context.data_dir, pairs=pairs)
    return held_out, config.input.max_length


@functools.partial(jax.jit, static_argnames="config")
def _loss(params, config, batch):
    return sft_loss(params, config, batch)[:2]
