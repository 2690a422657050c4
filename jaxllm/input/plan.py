"""The plan: which examples stand in which row of which step, a pure function of (seed, step).

It is computed once, from the lengths of the examples, before the first step. From then on a step
is a look-up that any host can do for any step: there is no iterator and no state to save.

Legend: R rows of a step, T row length in positions.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxllm.errors import UserError
from jaxllm.input.layout import lay_stream, lay_whole, trained_spans
from jaxllm.input.order import SourceOrder, draws_per_epoch, epoch_draws
from jaxllm.input.provenance import order_digest
from jaxllm.input.tokens import TokenizedSource

# Raise it when the same arguments come to give another order.
_PLAN_VERSION = 3

Packing = Literal["best_fit", "none", "concat"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PlanSource:
    """What the plan needs to know of a source.

    Attributes:
      name: keys the shuffle; no two sources of a plan share it.
      lengths: tokens of each example, int64 [examples].
      weight: how often it is drawn from in relation to the other sources with a weight, or None.
      repeat: how many times an epoch passes over a source without a weight.
      shuffle: whether each pass has an order of its own, or all the order of the source.
      loss_weights: float32 [tokens]; only packing "concat" asks for them.
      digest: sha256 of its tokens.
      origin: what the tokens were made from, by the names of `provenance.CAUSES`.
    """

    name: str
    lengths: np.ndarray
    weight: float | None = None
    repeat: int = 1
    shuffle: bool = True
    loss_weights: np.ndarray | None = None
    digest: str = ""
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def plan_source(
    tokenized: TokenizedSource,
    *,
    weight: float | None = None,
    repeat: int = 1,
    shuffle: bool = True,
) -> PlanSource:
    """Returns what a plan of any packing needs to know of a tokenized source."""
    return PlanSource(
        name=tokenized.name,
        lengths=tokenized.lengths,
        weight=weight,
        repeat=repeat,
        shuffle=shuffle,
        loss_weights=tokenized.loss_weights,
        digest=tokenized.digest,
        origin=tokenized.origin,
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
      parts: what the order depends on and what that comes from (see `jaxllm.input.provenance`).
        The number of steps is not among them: a longer plan begins with the shorter one.
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
    parts: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The sha256 of what the order depends on."""
        return order_digest(self.parts)

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
    `num_epochs` each example of a source without a weight stands in the table exactly
    repeat * num_epochs times and the last step may end in empty rows; with `num_steps` the order
    goes on for as long as it is asked to.

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
    orders = _orders(sources)
    lengths = np.concatenate([np.asarray(source.lengths, np.int64) for source in sources])
    max_rows = None if num_steps is None else num_steps * rows_per_step
    if packing == "concat":
        layout = lay_stream(
            epoch_draws(orders, seed=seed, epoch=0, mixed=False),
            lengths,
            _trained_spans(sources),
            row_length=row_length,
            seed=seed,
            max_rows=max_rows,
            num_epochs=num_epochs or 0.0,
        )
    else:
        layout = lay_whole(
            lambda epoch: epoch_draws(orders, seed=seed, epoch=epoch),
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
    first_examples = np.cumsum([0, *(order.size for order in orders[:-1])])
    source_ids = np.searchsorted(first_examples, layout.draws, side="right") - 1
    return Plan(
        packing=packing,
        rows_per_step=rows_per_step,
        row_length=row_length,
        source_names=tuple(order.name for order in orders),
        row_offsets=np.pad(layout.offsets, (0, empty_rows), mode="edge"),
        source_ids=source_ids.astype(np.int32),
        example_ids=(layout.draws - first_examples[source_ids]).astype(np.int32),
        row_skips=np.pad(layout.skips, (0, empty_rows)).astype(np.int32),
        step_epochs=layout.epochs[np.minimum(np.arange(steps + 1) * rows_per_step, num_rows)],
        padding_share=1 - layout.num_positions / (steps * rows_per_step * row_length),
        parts=_parts(sources, seed, rows_per_step, row_length, num_epochs, packing),
    )


def _orders(sources: Sequence[PlanSource]) -> list[SourceOrder]:
    sizes = [len(source.lengths) for source in sources]
    counts = draws_per_epoch(
        sizes, [source.repeat for source in sources], [source.weight for source in sources]
    )
    if 0 in counts:
        raise UserError(
            f"source {sources[counts.index(0)].name} is never drawn: its weight gives it less than "
            "one example an epoch; raise its weight or leave it out"
        )
    return [
        SourceOrder(name=source.name, size=size, draws=draws, shuffle=source.shuffle)
        for source, size, draws in zip(sources, sizes, counts, strict=True)
    ]


def _trained_spans(sources: Sequence[PlanSource]) -> np.ndarray:
    spans, start = [], 0
    for source in sources:
        num_tokens = int(np.sum(source.lengths))
        if source.loss_weights is None or len(source.loss_weights) != num_tokens:
            raise ValueError(f'packing "concat" needs the loss weights of source {source.name}')
        spans.append(trained_spans(source.loss_weights) + start)
        start += num_tokens
    return np.concatenate(spans)


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
    weighted = [source for source in sources if source.weight is not None]
    if len(weighted) == 1 < len(sources):
        raise UserError(
            f"source {weighted[0].name} alone has a weight, so that there is nothing to weigh it "
            "against; give others one too, or set its repeat instead"
        )
    for source in sources:
        _check_source(source, row_length, packing)


def _check_source(source: PlanSource, row_length: int, packing: str) -> None:
    if source.repeat < 1:
        raise UserError(f"source {source.name}: repeat is {source.repeat}; it must be 1 or more")
    if source.weight is not None and not 0 < source.weight < float("inf"):
        raise UserError(f"source {source.name}: weight is {source.weight}; it must be above 0")
    if source.weight is not None and source.repeat != 1:
        raise UserError(
            f"source {source.name} has a weight and a repeat of {source.repeat}; set one of them"
        )
    shortest, longest = int(np.min(source.lengths)), int(np.max(source.lengths))
    if shortest < 2:
        raise ValueError(f"source {source.name} has an example of {shortest} tokens")
    if packing != "concat" and longest > row_length + 1:
        raise UserError(
            f"source {source.name} has an example of {longest} tokens, and a row of row_length "
            f"{row_length} takes {row_length + 1}; set max_length to {row_length + 1} or less, or "
            f"row_length to {longest - 1}"
        )


def _parts(
    sources: Sequence[PlanSource],
    seed: int,
    rows_per_step: int,
    row_length: int,
    num_epochs: float | None,
    packing: str,
) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "order_version": _PLAN_VERSION,
        "seed": seed,
        "epochs": num_epochs,
        "input.rows": rows_per_step,
        "input.max_length": row_length,
        "input.packing": packing,
    }
    for source in sources:
        lengths = np.ascontiguousarray(source.lengths, "<i8").tobytes()
        about = {
            **source.origin,
            "weight": source.weight,
            "repeat": source.repeat,
            "shuffle": source.shuffle,
            "tokens": hashlib.sha256(source.digest.encode() + lengths).hexdigest(),
        }
        parts |= {f"mixture.{source.name}.{field}": value for field, value in about.items()}
    return parts
