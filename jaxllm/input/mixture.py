"""From `config.mixture` to tokenized sources and the plan of the whole run."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.entries import MixtureEntry, read_entries
from jaxllm.input.plan import Plan, make_plan, plan_source
from jaxllm.input.preferences import pair_source, tokenize_pairs, unfold_pairs
from jaxllm.input.presence import missing_entries
from jaxllm.input.tokenize import Part, tokenize
from jaxllm.input.tokens import TokenizedSource
from jaxllm.observe.progress import Progress
from jaxllm.parallel.agreement import first_process_first
from jaxllm.text.spans import Rendered
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import Tokenizer

# The capacity is part of a compiled shape: rounded up, so that like runs share a program.
_CAPACITY_STEP = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """What a run trains on.

    Attributes:
      sources: tokenized, in the order of the config's names.
      plan: which examples stand in which row of which step.
      missing: where to get each optional entry that is left out, by its name.
    """

    sources: tuple[TokenizedSource, ...]
    plan: Plan
    missing: Mapping[str, str]

    def first_examples(self, count: int) -> list[tuple[str, Rendered]]:
        """The first examples of the run with where they came from; from several sources, if any."""
        _, firsts = np.unique(self.plan.source_ids, return_index=True)
        enough = min(count + len(firsts), len(self.plan.source_ids))
        entries = dict.fromkeys([*sorted(firsts.tolist()), *range(enough)])
        found = []
        for entry in itertools.islice(entries, count):
            source = self.sources[self.plan.source_ids[entry]]
            example = self.plan.example_ids[entry]
            place = slice(*source.offsets[example : example + 2])
            rendered = Rendered(ids=source.ids[place], loss_weights=source.loss_weights[place])
            found.append((f"{source.name}: {source.example_ids[example]}", rendered))
        return found


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
      MissingData: no source is here, or one that is not optional.
      UserError: a source that cannot be read, or settings that contradict one another.
    """
    entries = read_entries(config)
    if (config.steps > 0) == (config.epochs > 0):
        raise UserError("set one of config.steps and config.epochs above 0, and leave the other 0")
    if pairs and config.input.packing == "concat":
        raise UserError(
            'config.input.packing="concat" would cut pairs apart: use "best_fit" or "none"'
        )
    missing = missing_entries(entries, data_dir=data_dir)
    sources, planned = [], []
    for name, entry in entries.items():
        if name in missing:
            continue
        source = _read(name, entry, config, tokenizer, data_dir, pairs=pairs)
        sources.append(source)
        as_planned = pair_source if pairs else plan_source
        planned.append(
            as_planned(
                source, weight=entry.weight or None, repeat=entry.repeat, shuffle=entry.shuffle
            )
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
    return Mixture(sources=tuple(sources), plan=plan, missing=missing)


def read_held_out(
    config: ConfigDict,
    tokenizer: Tokenizer,
    *,
    data_dir: str | os.PathLike[str],
    pairs: bool = False,
) -> list[TokenizedSource]:
    """Reads what `config` holds out of training, tokenized as the rest is.

    Raises:
      MissingData: nothing that holds something out is here.
      UserError: nothing is held out, or it cannot be read.
    """
    entries = {name: entry for name, entry in read_entries(config).items() if entry.held_out}
    if not entries:
        raise UserError(
            "no entry of config.mixture holds anything out of training: set its held_out to a "
            "share, such as 0.05"
        )
    missing = missing_entries(entries, data_dir=data_dir)
    return [
        _read(name, entry, config, tokenizer, data_dir, part="held_out", pairs=pairs)
        for name, entry in entries.items()
        if name not in missing
    ]


def _read(
    name: str,
    entry: MixtureEntry,
    config: ConfigDict,
    tokenizer: Tokenizer,
    data_dir: str | os.PathLike[str],
    *,
    part: Part = "train",
    pairs: bool = False,
) -> TokenizedSource:
    source, held_out = entry.part(entry.find(data_dir), part)
    template = get_template(entry.template or config.template, tokenizer)
    settings = config.input
    common: dict[str, Any] = {
        "name": name,
        "truncation": settings.truncation,
        "bos": settings.bos,
        "held_out": held_out,
        "part": part if held_out else "train",
        "data_dir": data_dir,
    }
    row_length = settings.max_length
    with (
        first_process_first(),
        Progress(f"tokenizing {name}", total=source.contents.num_records, unit="examples") as bar,
    ):
        common["progress"] = bar.update
        if pairs:
            return tokenize_pairs(source, template, tokenizer, row_length=row_length, **common)
        # What is concatenated may be of any length: rows begin and end within examples.
        is_cut = part == "train" and settings.packing == "concat"
        max_length = None if is_cut else row_length + 1
        return tokenize(source, template, tokenizer, max_length=max_length, **common)


def loss_capacity(plan: Plan, sources: Sequence[TokenizedSource]) -> int | None:
    """The most positions of any row of a plan that carry loss, rounded up; None: up to all."""
    if plan.packing == "concat":
        return None
    return _rounded_up(int(_trained_of_rows(plan, sources).max()), plan.row_length)


def group_loss_capacity(
    plan: Plan, sources: Sequence[TokenizedSource], *, num_groups: int, accumulation: int
) -> int | None:
    """The most positions that carry loss in any of the groups which the rows of a micro-batch make.

    Rows share what one of them does not need, so that it is far less than the sum of theirs.

    Args:
      num_groups: of neighbouring rows, such as the parts that devices hold of a batch.
      accumulation: micro-batches of a step (see `jaxllm.input.device.prefetch`).
    """
    if plan.packing == "concat":
        return None
    rows = plan.rows_per_step // (num_groups * accumulation)
    trained = _trained_of_rows(plan, sources)
    of_groups = trained.reshape(plan.num_steps, num_groups, rows, accumulation).sum(axis=2)
    return _rounded_up(int(of_groups.max()), rows * plan.row_length)


def _trained_of_rows(plan: Plan, sources: Sequence[TokenizedSource]) -> np.ndarray:
    """Positions that carry loss, int64 [rows]."""
    of_entry = np.zeros(len(plan.source_ids), np.int64)
    for index, source in enumerate(sources):
        mine = plan.source_ids == index
        counts = np.add.reduceat(source.loss_weights > 0, source.offsets[:-1], dtype=np.int64)
        of_entry[mine] = counts[plan.example_ids[mine]]
    return np.diff(np.concatenate(([0], np.cumsum(of_entry)))[plan.row_offsets])


def _rounded_up(most: int, positions: int) -> int | None:
    capacity = -(-most // _CAPACITY_STEP) * _CAPACITY_STEP
    return capacity if capacity < positions else None
