"""From `config.mixture` to tokenized sources and the plan of the whole run."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.plan import Plan, make_plan, plan_source
from jaxllm.input.sources import read_source
from jaxllm.input.tokenize import TokenizedSource, tokenize
from jaxllm.observe.progress import Progress
from jaxllm.text.templates import Rendered, get_template
from jaxllm.text.tokenizer import Tokenizer

# The capacity is part of a compiled shape: rounded up, so that like runs share a program.
_CAPACITY_STEP = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """What a run trains on.

    Attributes:
      sources: tokenized, in the order of the config's names.
      plan: which examples stand in which row of which step.
      loss_capacity: the most positions of any row that carry loss (None: up to all of them).
    """

    sources: tuple[TokenizedSource, ...]
    plan: Plan
    loss_capacity: int | None

    def first_example(self) -> Rendered:
        """The first example of the first row, as it is trained on."""
        source = self.sources[self.plan.source_ids[0]]
        start, end = source.offsets[self.plan.example_ids[0] :][:2]
        return Rendered(ids=source.ids[start:end], loss_weights=source.loss_weights[start:end])


def read_mixture(
    config: ConfigDict, tokenizer: Tokenizer, *, data_dir: str | os.PathLike[str]
) -> Mixture:
    """Reads, tokenizes and lays out everything `config` trains on.

    Raises:
      UserError: no source, a source that cannot be read, or settings that contradict one another.
    """
    if not len(config.mixture):
        raise UserError(
            "config.mixture is empty: name what to train on, for instance "
            "--config.mixture.mine.source=jsonl:mine.jsonl"
        )
    if (config.steps > 0) == (config.epochs > 0):
        raise UserError("set one of config.steps and config.epochs above 0, and leave the other 0")
    sources, planned = [], []
    for name in config.mixture:
        entry = config.mixture[name]
        source = _tokenized(name, entry, config, tokenizer, data_dir)
        sources.append(source)
        planned.append(
            plan_source(source, weight=entry.get("weight") or None, repeat=entry.get("repeat") or 1)
        )
    plan = make_plan(
        planned,
        seed=config.seed,
        rows_per_step=config.input.rows,
        row_length=config.input.max_length,
        num_steps=config.steps or None,
        num_epochs=config.epochs or None,
        packing=config.input.packing,
    )
    return Mixture(sources=tuple(sources), plan=plan, loss_capacity=_loss_capacity(plan, sources))


def _tokenized(
    name: str,
    entry: ConfigDict,
    config: ConfigDict,
    tokenizer: Tokenizer,
    data_dir: str | os.PathLike[str],
) -> TokenizedSource:
    if not entry.get("source"):
        raise UserError(
            f"config.mixture.{name} has no source: --config.mixture.{name}.source=jsonl:FILE"
        )
    examples = read_source(
        entry.source,
        split=entry.get("split") or "train",
        data_dir=data_dir,
        max_examples=entry.get("max_examples") or None,
    )
    template = get_template(entry.get("template") or config.template, tokenizer)
    with Progress(f"tokenizing {name}", total=len(examples), unit="examples") as bar:
        return tokenize(
            examples,
            template,
            tokenizer,
            name=name,
            max_length=config.input.max_length + 1,
            truncation=config.input.truncation,
            bos=config.input.bos,
            data_dir=data_dir,
            progress=bar.update,
        )


def _loss_capacity(plan: Plan, sources: list[TokenizedSource]) -> int | None:
    if plan.packing == "concat":
        return None
    trained = [
        np.add.reduceat(source.loss_weights > 0, source.offsets[:-1], dtype=np.int64)
        for source in sources
    ]
    of_entry = np.zeros(len(plan.source_ids), np.int64)
    for index, counts in enumerate(trained):
        mine = plan.source_ids == index
        of_entry[mine] = counts[plan.example_ids[mine]]
    ends = np.concatenate(([0], np.cumsum(of_entry)))[plan.row_offsets]
    most = int(np.diff(ends).max())
    capacity = -(-most // _CAPACITY_STEP) * _CAPACITY_STEP
    return capacity if capacity < plan.row_length else None
