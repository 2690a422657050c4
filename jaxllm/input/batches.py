"""Fill a step's rows with tokens, as the plan says.

Legend: R rows asked for, T row length in positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxllm.input.packing import ranges
from jaxllm.input.plan import Plan
from jaxllm.input.tokens import TokenizedSource

Batch = dict[str, np.ndarray]


def make_batch(
    plan: Plan,
    step: int,
    tokenized: Sequence[TokenizedSource],
    rows: slice = slice(None),
) -> Batch:
    """Returns the rows of a step, or some of them.

    Args:
      plan: made from these sources.
      step: 0 to plan.num_steps - 1.
      tokenized: the sources in the order the plan was made with.
      rows: which rows of the step; all when not given.

    Returns:
      A dict of arrays [R, T]: `tokens`, `targets` (the token after), `loss_weights` (float32, of
      predicting the target), `segment_ids` (0 for padding, then 1, 2, ... for a row's examples),
      `positions` (from 0 in every segment) and `source_ids` (the number of the target's source).
      All others are int32. With packing "concat" a row is one segment whatever examples it
      holds. Where the sources have them, so do batches: `reference_log_probs` (float32, of the
      target).
    """
    table = _row_range(plan, step, rows)
    fill = _fill_stream if plan.packing == "concat" else _fill_whole
    return fill(plan, table, tokenized)


def example_ids(
    plan: Plan,
    step: int,
    tokenized: Sequence[TokenizedSource],
    rows: slice = slice(None),
) -> list[list[str]]:
    """Returns, for each row, where its examples came from: what a message about a step names."""
    return [
        [
            f"{tokenized[source].name}: {tokenized[source].example_ids[example]}"
            for source, example in zip(
                plan.source_ids[entries].tolist(),
                plan.example_ids[entries].tolist(),
                strict=True,
            )
        ]
        for entries in (
            slice(plan.row_offsets[row], plan.row_offsets[row + 1])
            for row in _row_range(plan, step, rows)
        )
    ]


def _row_range(plan: Plan, step: int, rows: slice) -> range:
    if not 0 <= step < plan.num_steps:
        raise IndexError(f"step {step} is not among the plan's {plan.num_steps} steps")
    first = step * plan.rows_per_step
    return range(first, first + plan.rows_per_step)[rows]


def _empty(num_rows: int, row_length: int) -> Batch:
    shape = (num_rows, row_length)
    batch = {
        name: np.zeros(shape, np.int32)
        for name in ("tokens", "targets", "segment_ids", "positions", "source_ids")
    }
    return batch | {"loss_weights": np.zeros(shape, np.float32)}


def _fill_whole(plan: Plan, rows: range, tokenized: Sequence[TokenizedSource]) -> Batch:
    row_of, entries = _entries(plan, rows)
    starts, lengths = _spans(plan, entries, tokenized)
    sizes = lengths - 1
    row_start, number = _first_of_row(row_of)
    filled = np.cumsum(sizes) - sizes
    cells = ranges(row_of * plan.row_length + filled - filled[row_start], sizes)
    shape = (len(rows), plan.row_length)
    batch = _empty(*shape)
    batch["segment_ids"].flat[cells] = np.repeat(number + 1, sizes)
    batch["positions"].flat[cells] = ranges(np.zeros_like(sizes), sizes)
    for source, tokens in enumerate(tokenized):
        mine = plan.source_ids[entries] == source
        cells_of = cells[np.repeat(mine, sizes)]
        places = ranges(starts[mine], sizes[mine])
        batch["source_ids"].flat[cells_of] = source
        batch["tokens"].flat[cells_of] = tokens.ids[places]
        batch["targets"].flat[cells_of] = tokens.ids[places + 1]
        batch["loss_weights"].flat[cells_of] = tokens.loss_weights[places + 1]
        if tokens.reference_log_probs is not None:
            reference = batch.setdefault("reference_log_probs", np.zeros(shape, np.float32))
            reference.flat[cells_of] = tokens.reference_log_probs[places + 1]
    return batch


def _fill_stream(plan: Plan, rows: range, tokenized: Sequence[TokenizedSource]) -> Batch:
    row_of, entries = _entries(plan, rows)
    starts, lengths = _spans(plan, entries, tokenized)
    row_start, number = _first_of_row(row_of)
    skips = np.where(number == 0, plan.row_skips[rows.start : rows.stop][row_of], 0)
    starts, lengths = starts + skips, lengths - skips
    window = plan.row_length + 1
    filled = np.cumsum(lengths) - lengths
    filled -= filled[row_start]
    lengths = np.minimum(lengths, window - filled)
    cells = ranges(row_of * window + filled, lengths)
    ids = np.zeros((len(rows), window), np.int32)
    loss_weights = np.zeros((len(rows), window), np.float32)
    source_ids = np.zeros((len(rows), window), np.int32)
    for source, tokens in enumerate(tokenized):
        mine = plan.source_ids[entries] == source
        cells_of = cells[np.repeat(mine, lengths)]
        places = ranges(starts[mine], lengths[mine])
        source_ids.flat[cells_of] = source
        ids.flat[cells_of] = tokens.ids[places]
        loss_weights.flat[cells_of] = tokens.loss_weights[places]
    batch = _empty(len(rows), plan.row_length)
    batch["tokens"][:] = ids[:, :-1]
    batch["targets"][:] = ids[:, 1:]
    batch["loss_weights"][:] = loss_weights[:, 1:]
    batch["source_ids"][:] = source_ids[:, 1:]
    has_tokens = row_of[number == 0]  # the rest are the empty rows of a last step
    batch["segment_ids"][has_tokens] = 1
    batch["positions"][has_tokens] = np.arange(plan.row_length)
    return batch


def _entries(plan: Plan, rows: range) -> tuple[np.ndarray, slice]:
    """Returns the row, from 0, of each entry of a stretch of rows, and where the entries lie."""
    offsets = plan.row_offsets[rows.start : rows.stop + 1]
    row_of = np.repeat(np.arange(len(rows)), np.diff(offsets))
    return row_of, slice(int(offsets[0]), int(offsets[-1]))


def _spans(
    plan: Plan, entries: slice, tokenized: Sequence[TokenizedSource]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each entry's tokens begin in its source and how many they are."""
    source_ids, examples = plan.source_ids[entries], plan.example_ids[entries]
    starts = np.zeros(len(examples), np.int64)
    ends = np.zeros(len(examples), np.int64)
    for source, tokens in enumerate(tokenized):
        mine = source_ids == source
        starts[mine] = tokens.offsets[examples[mine]]
        ends[mine] = tokens.offsets[examples[mine] + 1]
    return starts, ends - starts


def _first_of_row(row_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each entry's first fellow in its row, and how many stand before it there."""
    first = np.searchsorted(row_of, row_of, side="left")
    return first, np.arange(len(row_of)) - first
