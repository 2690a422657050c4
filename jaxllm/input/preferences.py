"""Pairs of answers to one prompt, the chosen and the rejected one, from examples to rows.

A tokenized source of pairs holds two sequences a pair: 2 i is the prompt of pair i with its chosen
answer, 2 i + 1 the prompt with the rejected one. The plan is made of whole pairs, so that both
stand in one row, and then unfolded into their sequences; from there on batches are made as ever.
In a row the segments 1, 3, ... are chosen and 2, 4, ... rejected.

Legend: T row length in positions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.input.packing import ranges
from jaxllm.input.plan import Plan, PlanSource, plan_source
from jaxllm.input.sources import Source
from jaxllm.input.tokenize import Part, Truncation, tokenize
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource
from jaxllm.text.example import Example
from jaxllm.text.spans import BosPolicy
from jaxllm.text.templates import Template
from jaxllm.text.tokenizer import Tokenizer

_CHOSEN, _REJECTED = " (chosen)", " (rejected)"  # what ids of the two conversations end with


def tokenize_pairs(
    source: Source,
    template: Template,
    tokenizer: Tokenizer,
    *,
    name: str,
    row_length: int,
    truncation: Truncation = "drop",
    bos: BosPolicy = "auto",
    held_out: float = 0.0,
    part: Part = "train",
    data_dir: epath.PathLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> TokenizedSource:
    """Renders both conversations of every pair; only what follows the prompt they share has loss.

    Args:
      row_length: T, which the two together must fit in: they may have T + 2 tokens.
      truncation: what happens to a longer pair. "drop" leaves it out; "truncate" keeps the
        beginnings, of each at least half a row; "error" stops.
      source, template, tokenizer, name, bos, held_out, part, data_dir, progress: as `tokenize`
        takes them; every example of the source has a `rejected` conversation.

    Returns:
      Two sequences a pair, its `counts` in pairs. A pair whose answers are the same, or of one of
      which a cut left nothing, is counted as `dropped_untrained`.

    Raises:
      UserError: as `tokenize`; an example without a `rejected` conversation; no pair left.
    """
    tokenized = tokenize(
        source,
        template,
        tokenizer,
        name=name,
        max_length=None,  # what is too long shows in the two together
        bos=bos,
        held_out=held_out,
        part=part,
        sequences=both_answers,
        data_dir=data_dir,
        progress=progress,
    )
    if truncation == "error":
        _refuse_long(source, tokenized, row_length)
    return _fit(tokenized, row_length, truncation)


def both_answers(pair: Example) -> tuple[Example, ...]:
    """The two conversations of a pair, the chosen one first."""
    if not pair.rejected:
        raise UserError("the record is no preference: it needs `chosen` and `rejected` answers")
    return (
        Example(id=f"{pair.id}{_CHOSEN}", messages=pair.messages, num_given=pair.num_given),
        Example(id=f"{pair.id}{_REJECTED}", messages=pair.rejected, num_given=pair.num_given),
    )


def pair_source(
    tokenized: TokenizedSource,
    *,
    weight: float | None = None,
    repeat: int = 1,
    shuffle: bool = True,
) -> PlanSource:
    """Returns what a plan needs to know of a source of pairs, each one example to it."""
    # A sequence of n tokens takes n - 1 positions, and so does an example of the plan.
    lengths = tokenized.lengths.reshape(-1, 2).sum(axis=1) - 1
    source = plan_source(tokenized, weight=weight, repeat=repeat, shuffle=shuffle)
    return dataclasses.replace(source, lengths=lengths, loss_weights=None)


def unfold_pairs(plan: Plan) -> Plan:
    """Returns the plan of the sequences that the pairs of a plan are made of."""
    sequences = 2 * plan.example_ids[:, None] + np.arange(2, dtype=np.int32)
    return dataclasses.replace(
        plan,
        row_offsets=2 * plan.row_offsets,
        source_ids=np.repeat(plan.source_ids, 2),
        example_ids=sequences.reshape(-1),
        parts={**plan.parts, "pairs": True},
    )


def max_pairs(plan: Plan) -> int:
    """Returns the most pairs that a row of an unfolded plan holds."""
    return int(np.diff(plan.row_offsets).max()) // 2


def _refuse_long(source: Source, tokenized: TokenizedSource, row_length: int) -> None:
    """Names the first pair that does not fit a row; the source is read once more to find it."""
    sizes, room = tokenized.lengths.reshape(-1, 2).sum(axis=1), row_length + 2
    if sizes.max() <= room:
        return
    pair = int(np.argmax(sizes > room))
    chosen = tokenized.example_ids[2 * pair]
    place = next(r.place for r in source.records() if f"{r.id}{_CHOSEN}" == chosen)
    raise UserError(
        f"{place}: the chosen and the rejected conversation have {sizes[pair]} tokens, and a row "
        f'takes {room}; raise max_length, or set truncation to "drop" or "truncate"'
    )


def _fit(source: TokenizedSource, row_length: int, truncation: Truncation) -> TokenizedSource:
    """Cuts or drops what does not fit a row, and drops what is no preference."""
    lengths = source.lengths.reshape(-1, 2)
    room = row_length + 2
    is_long = lengths.sum(axis=1) > room
    kept_lengths, is_dropped = lengths, is_long
    if truncation == "truncate":
        half = row_length // 2 + 1
        kept_lengths = np.minimum(lengths, np.maximum(half, room - lengths[:, ::-1]))
        is_dropped = np.zeros_like(is_long)
    starts = source.offsets[:-1].reshape(-1, 2)
    trained_before = np.concatenate([[0], np.cumsum(source.loss_weights > 0)])
    has_loss = trained_before[starts + kept_lengths] > trained_before[starts + 1]
    is_untrained = ~is_dropped & (~has_loss.all(axis=1) | _same(source.ids, starts, kept_lengths))
    pairs = np.flatnonzero(~is_dropped & ~is_untrained)
    counts = TokenizeCounts(
        read=source.counts.read,
        kept=len(pairs),
        truncated=int(np.sum(np.any(kept_lengths < lengths, axis=1)[pairs])),
        dropped_long=int(is_dropped.sum()),
        dropped_untrained=source.counts.dropped_untrained + int(is_untrained.sum()),
        held_out=source.counts.held_out,
    )
    if not len(pairs):
        raise UserError(
            f"{source.name}: none of its {counts.read} pairs can be trained on ("
            f"{counts.dropped_long} do not fit a row of max_length {row_length} positions, "
            f"{counts.dropped_untrained} compare an answer with itself or lost one to the cut)"
        )
    sizes = kept_lengths[pairs].reshape(-1)
    places = ranges(starts[pairs].reshape(-1), sizes)
    return dataclasses.replace(
        source,
        ids=source.ids[places],
        loss_weights=source.loss_weights[places],
        offsets=np.cumsum([0, *sizes], dtype=np.int64),
        example_ids=tuple(source.example_ids[2 * pair + end] for pair in pairs for end in (0, 1)),
        counts=counts,
    )


def _same(ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whether the two sequences of each pair are the same, bool [pairs]."""
    same = lengths[:, 0] == lengths[:, 1]
    for pair in np.flatnonzero(same):
        (one, other), size = starts[pair], lengths[pair, 0]
        same[pair] = np.array_equal(ids[one : one + size], ids[other : other + size])
    return same
