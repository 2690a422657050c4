"""From `config.mixture` to tokenized sources and the plan of the whole run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.plan import Plan, make_plan, plan_source
from jaxllm.input.preferences import pair_source, tokenize_pairs, unfold_pairs
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
    config: ConfigDict,
    tokenizer: Tokenizer,
    *,
    data_dir: str | os.PathLike[str],
    pairs: bool = False,
) -> Mixture:
    """Reads, tokenizes and lays out everything `config` trains on.

    With `pairs` the examples are preferences, laid out as `jaxllm.input.preferences` says.

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
    if pairs and config.input.packing == "concat":
        raise UserError(
            'config.input.packing="concat" would cut pairs apart: use "best_fit" or "none"'
        )
    sources, planned = [], []
    for name in config.mixture:
        entry = config.mixture[name]
        source = _tokenized(name, entry, config, tokenizer, data_dir, pairs)
        sources.append(source)
        as_planned = pair_source if pairs else plan_source
        planned.append(
            as_planned(source, weight=entry.get("weight") or None, repeat=entry.get("repeat") or 1)
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
    if pairs:
        plan = unfold_pairs(plan)
    return Mixture(sources=tuple(sources), plan=plan, loss_capacity=loss_capacity(plan, sources))


def _tokenized(
    name: str,
    entry: ConfigDict,
    config: ConfigDict,
    tokenizer: Tokenizer,
    data_dir: str | os.PathLike[str],
    pairs: bool,
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
    common: dict[str, Any] = {
        "name": name,
        "truncation": config.input.truncation,
        "bos": config.input.bos,
        "data_dir": data_dir,
    }
    row_length = config.input.max_length
    num_texts = (2 if pairs else 1) * len(examples)
    with Progress(f"tokenizing {name}", total=num_texts, unit="examples") as bar:
        common["progress"] = bar.update
        if pairs:
            return tokenize_pairs(examples, template, tokenizer, row_length=row_length, **common)
        return tokenize(examples, template, tokenizer, max_length=row_length + 1, **common)


def loss_capacity(plan: Plan, sources: Sequence[TokenizedSource]) -> int | None:
    """The most positions of any row of a plan that carry loss, rounded up; None: up to all."""
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
