"""The plan: which examples stand in which row of which step, a pure function of (seed, step).

It is computed once, from the lengths of the examples, before the first step. From then on a step
is a look-up that any host can do for any step: there is no iterator and no state to save.

Legend: R rows of a step, T row length in positions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jaxllm.errors import UserError
from jaxllm.input.layout import lay_stream, lay_whole
from jaxllm.input.order import draws_per_epoch, epoch_draws
from jaxllm.input.tokenize import TokenizedSource

# Raise it when the same arguments come to give another order.
_PLAN_VERSION = 1

Packing = Literal["best_fit", "none", "concat"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PlanSource:
    """What the plan needs to know of a source.

    Attributes:
      name: keys the shuffle; no two sources of a plan share it.
      lengths: tokens of each example, int64 [examples].
      weight: relative rate at which its examples are drawn, or None. All sources have one or none
        has.
      repeat: how many times an epoch passes over it.
      trained: bool [tokens], which tokens carry loss; only packing "concat" asks for it.
    """

    name: str
    lengths: np.ndarray
    weight: float | None = None
    repeat: int = 1
    trained: np.ndarray | None = None


def plan_source(
    tokenized: TokenizedSource, *, weight: float | None = None, repeat: int = 1
) -> PlanSource:
    """Returns what a plan of any packing needs to know of a tokenized source."""
    return PlanSource(
        name=tokenized.name,
        lengths=tokenized.lengths,
        weight=weight,
        repeat=repeat,
        trained=tokenized.loss_weights > 0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Row r of step k is row k * R + r of this table.

    Attributes:
      packing, rows_per_step, row_length: as given to `make_plan`.
      source_names: of the sources that `source_ids` counts.
      row_offsets: int64 [rows + 1]; row i holds the entries row_offsets[i] to row_offsets[i + 1].
      source_ids: int32 [entries].
      example_ids: int32 [entries], the example's index within its source.
      row_skips: int32 [rows]; tokens of the row's first example that a row before it holds (0
        but for "concat").
      step_epochs: float64 [steps + 1]; epochs of the mixture drawn before each step.
      padding_share: share of the table's positions that hold no token.
      digest: sha256 of the lengths and of every setting that the order depends on. The number of
        steps is not among them: a longer plan begins with the shorter one.
    """

    packing: Packing
    rows_per_step: int
    row_length: int
    source_names: tuple[str, ...]
    row_offsets: np.ndarray
    source_ids: np.ndarray
    example_ids: np.ndarray
    row_skips: np.ndarray
    step_epochs: np.ndarray
    padding_share: float
    digest: str

    @property
    def num_steps(self) -> int:
        """Steps in the table."""
        return len(self.step_epochs) - 1


def make_plan(
    sources: Sequence[PlanSource],
    *,
    seed: int,
    rows_per_step: int,
    row_length: int,
    num_steps: int | None = None,
    num_epochs: float | None = None,
    packing: Packing = "best_fit",
) -> Plan:
    """Lays out the whole run.

    Every source is shuffled anew for every pass over it and the sources are mixed evenly. With
    `num_epochs` each example stands in the table exactly repeat * num_epochs times and the last
    step may end in empty rows; with `num_steps` the order goes on for as long as it is asked to.

    Packing "best_fit" fills rows with whole examples that do not see one another. "none" gives
    each example a row of its own. "concat" is how the llm-jp-3 instruct models were tuned: the
    sources one after another, each shuffled once, cut into windows of row_length + 1 tokens
    without regard to where examples end, windows without a trained token left out, the
    unfinished last one dropped, and the windows shuffled in every epoch.

    Args:
      sources: at least one.
      seed: of the order.
      rows_per_step: R, over all hosts and micro-batches.
      row_length: T.
      num_steps: this or num_epochs, not both.
      num_epochs: may be a fraction.
      packing: see above.

    Raises:
      UserError: settings that contradict one another, or an example longer than a row.
    """
    _check(sources, rows_per_step, row_length, num_steps, num_epochs, packing)
    names = tuple(source.name for source in sources)
    sizes = [len(source.lengths) for source in sources]
    lengths = np.concatenate([np.asarray(source.lengths, np.int64) for source in sources])
    weights = [source.weight for source in sources if source.weight is not None]
    counts = draws_per_epoch(sizes, [source.repeat for source in sources], weights or None)
    if 0 in counts:
        raise UserError(
            f"source {names[counts.index(0)]} is never drawn: its weight gives it less than one "
            "example an epoch; raise its weight or leave it out"
        )
    max_rows = None if num_steps is None else num_steps * rows_per_step
    if packing == "concat":
        layout = lay_stream(
            epoch_draws(names, sizes, counts, seed=seed, epoch=0, mixed=False),
            lengths,
            np.concatenate([_trained(source) for source in sources]),
            row_length=row_length,
            seed=seed,
            max_rows=max_rows,
            num_epochs=num_epochs or 0.0,
        )
    else:
        layout = lay_whole(
            lambda epoch: epoch_draws(names, sizes, counts, seed=seed, epoch=epoch),
            lengths,
            row_length=row_length,
            seed=seed,
            max_rows=max_rows,
            num_epochs=num_epochs or 0.0,
            packed=packing == "best_fit",
        )
    num_rows = len(layout.skips)
    steps = -(-num_rows // rows_per_step)
    empty_rows = steps * rows_per_step - num_rows
    first_examples = np.cumsum([0, *sizes[:-1]])
    source_ids = np.searchsorted(first_examples, layout.draws, side="right") - 1
    return Plan(
        packing=packing,
        rows_per_step=rows_per_step,
        row_length=row_length,
        source_names=names,
        row_offsets=np.pad(layout.offsets, (0, empty_rows), mode="edge"),
        source_ids=source_ids.astype(np.int32),
        example_ids=(layout.draws - first_examples[source_ids]).astype(np.int32),
        row_skips=np.pad(layout.skips, (0, empty_rows)).astype(np.int32),
        step_epochs=layout.epochs[np.minimum(np.arange(steps + 1) * rows_per_step, num_rows)],
        padding_share=1 - layout.num_positions / (steps * rows_per_step * row_length),
        digest=_digest(sources, seed, rows_per_step, row_length, num_epochs, packing),
    )


def _check(
    sources: Sequence[PlanSource],
    rows_per_step: int,
    row_length: int,
    num_steps: int | None,
    num_epochs: float | None,
    packing: str,
) -> None:
    if packing not in ("best_fit", "none", "concat"):
        raise UserError(f'packing is {packing!r}; write "best_fit", "none" or "concat"')
    if (num_steps is None) == (num_epochs is None):
        raise UserError("set num_steps or num_epochs, and not both")
    sizes = {"rows_per_step": rows_per_step, "row_length": row_length}
    for field, value in sizes.items() | {
        ("num_steps", num_steps),
        ("num_epochs", num_epochs),
    }:
        if value is not None and value <= 0:
            raise UserError(f"{field} is {value}; it must be above 0")
    if not sources:
        raise UserError("there is no source to train on; name one in the config's sources")
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"source {name} is named twice; name it once with repeat=2")
    weighted = [source.name for source in sources if source.weight is not None]
    if weighted and len(weighted) < len(sources):
        missing = next(name for name in names if name not in weighted)
        raise UserError(
            f"source {missing} has no weight while {weighted[0]} has; weigh all or none"
        )
    for source in sources:
        _check_source(source, row_length, packing)


def _check_source(source: PlanSource, row_length: int, packing: str) -> None:
    if source.repeat < 1:
        raise UserError(f"source {source.name}: repeat is {source.repeat}; it must be 1 or more")
    if source.weight is not None and not 0 < source.weight < float("inf"):
        raise UserError(f"source {source.name}: weight is {source.weight}; it must be above 0")
    shortest, longest = int(np.min(source.lengths)), int(np.max(source.lengths))
    if shortest < 2:
        raise ValueError(f"source {source.name} has an example of {shortest} tokens")
    if packing != "concat" and longest > row_length + 1:
        raise UserError(
            f"source {source.name} has an example of {longest} tokens, and a row of row_length "
            f"{row_length} takes {row_length + 1}; set max_length to {row_length + 1} or less, or "
            f"row_length to {longest - 1}"
        )


def _trained(source: PlanSource) -> np.ndarray:
    if source.trained is None or len(source.trained) != int(np.sum(source.lengths)):
        raise ValueError(f'packing "concat" needs the trained tokens of source {source.name}')
    return source.trained


def _digest(
    sources: Sequence[PlanSource],
    seed: int,
    rows_per_step: int,
    row_length: int,
    num_epochs: float | None,
    packing: str,
) -> str:
    settings = {
        "version": _PLAN_VERSION,
        "seed": seed,
        "rows_per_step": rows_per_step,
        "row_length": row_length,
        "num_epochs": num_epochs,
        "packing": packing,
        "sources": [[s.name, len(s.lengths), s.weight, s.repeat] for s in sources],
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for source in sources:
        digest.update(np.ascontiguousarray(source.lengths, "<i8").tobytes())
        if packing == "concat":
            digest.update(np.packbits(_trained(source)).tobytes())
    return digest.hexdigest()
