"""Turn the order of draws into a table of rows.

A draw is the number of an example, counted through all sources. Legend: T row length in
positions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from jaxllm.errors import UserError
from jaxllm.input.order import keyed_permutation
from jaxllm.input.packing import pack_rows, ranges, stream_windows

# Packing looks at this many rows' worth of examples at a time: enough to fill rows to above 99 %
# with ordinary lengths, and few enough that a row's examples come from nearby in the order.
_WINDOW_ROWS = 256
_BLOCK = 1 << 24


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Rows of draws.

    Attributes:
      offsets: int64 [rows + 1]; row i holds draws[offsets[i]:offsets[i + 1]].
      draws: int64 [entries].
      skips: int64 [rows], tokens of the row's first example that stand in an earlier row.
      epochs: float64 [rows + 1], epochs drawn before each row.
      num_positions: positions that hold a token, of rows * T.
    """

    offsets: np.ndarray
    draws: np.ndarray
    skips: np.ndarray
    epochs: np.ndarray
    num_positions: int


def lay_whole(
    epoch_draws: Callable[[int], np.ndarray],
    lengths: np.ndarray,
    *,
    row_length: int,
    seed: int,
    max_rows: int | None,
    num_epochs: float,
    packed: bool,
) -> Layout:
    """Lays whole examples into rows, as many as fit when packed, else one a row.

    The order is cut into windows of a fixed number of positions, each packed by itself and its
    rows shuffled, so what a row holds does not depend on how many rows are asked for.

    Args:
      epoch_draws: the draws of an epoch, from its number.
      lengths: tokens of each example, int64 [examples].
      row_length: T.
      seed: of the shuffle of rows.
      max_rows: how many rows to lay out, or None.
      num_epochs: how much to lay out when max_rows is None.
      packed: whether rows are shared.
    """
    epoch_size = len(epoch_draws(0))
    max_draws = max(1, round(num_epochs * epoch_size)) if max_rows is None else None
    window_size = _WINDOW_ROWS * row_length
    draws, row_sizes, num_rows = [], [], 0
    for number, window in enumerate(_windows(epoch_draws, lengths - 1, window_size, max_draws)):
        sizes = np.ones(len(window), np.int64)
        if packed:
            rows = pack_rows(lengths[window] - 1, row_length)
            rows = keyed_permutation(int(rows.max()) + 1, seed, "window", number)[rows]
            # Within a row the examples keep the order they were drawn in.
            window = window[np.argsort(rows, kind="stable")]
            sizes = np.bincount(rows)
        draws.append(window)
        row_sizes.append(sizes)
        num_rows += len(sizes)
        if max_rows is not None and num_rows >= max_rows:
            break
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(row_sizes)[:max_rows])])
    table = np.concatenate(draws)[: offsets[-1]]
    return Layout(
        offsets=offsets,
        draws=table,
        skips=np.zeros(len(offsets) - 1, np.int64),
        epochs=offsets / epoch_size,
        num_positions=int(np.sum(lengths[table] - 1)),
    )


def _windows(
    epoch_draws: Callable[[int], np.ndarray],
    sizes: np.ndarray,
    window_size: int,
    max_draws: int | None,
) -> Iterator[np.ndarray]:
    """Yields the draws whose first position lies in each stretch of window_size positions."""
    pending, num_pending, start = [], 0, 0
    epoch = drawn = 0
    while max_draws is None or drawn < max_draws:
        draws = epoch_draws(epoch)[: None if max_draws is None else max_draws - drawn]
        epoch += 1
        drawn += len(draws)
        pending.append(draws)
        num_pending += int(np.sum(sizes[draws]))
        if num_pending > window_size:  # else no window can have ended
            *whole, rest = _split(np.concatenate(pending), sizes, window_size, start)
            yield from whole
            start += sum(int(np.sum(sizes[window])) for window in whole)
            pending, num_pending = [rest], int(np.sum(sizes[rest]))
    yield from _split(np.concatenate(pending), sizes, window_size, start)


def _split(draws: np.ndarray, sizes: np.ndarray, window_size: int, start: int) -> list[np.ndarray]:
    positions = sizes[draws]
    window = (start + np.cumsum(positions) - positions) // window_size
    return np.split(draws, np.flatnonzero(np.diff(window)) + 1)


def lay_stream(
    draws: np.ndarray,
    lengths: np.ndarray,
    trained_spans: np.ndarray,
    *,
    row_length: int,
    seed: int,
    max_rows: int | None,
    num_epochs: float,
) -> Layout:
    """Cuts the draws of one epoch, laid end to end, into rows and shuffles these in every epoch.

    Args:
      draws: of one epoch, int64.
      lengths: tokens of each example, int64 [examples].
      trained_spans: as `trained_spans` returns them, of the tokens of all examples in their own
        order.
      row_length: T; a row takes T + 1 tokens of the stream.
      seed: of the shuffle of rows.
      max_rows: how many rows to lay out, or None.
      num_epochs: how much to lay out when max_rows is None.

    Raises:
      UserError: the stream fills no row that has a trained token.
    """
    window = row_length + 1
    stream = lengths[draws]
    first, last, skips = stream_windows(stream, window)
    token = (np.cumsum(lengths) - lengths)[draws]  # where each draw's tokens begin in their order
    before = _trained_before(trained_spans, token)
    drawn_before = np.cumsum(_trained_before(trained_spans, token + stream) - before)
    drawn_before = np.concatenate([[0], drawn_before])

    def stream_trained_before(item: np.ndarray, offset: np.ndarray) -> np.ndarray:
        inside = _trained_before(trained_spans, token[item] + offset) - before[item]
        return drawn_before[item] + inside

    starts = np.cumsum(stream) - stream
    ends = starts[first] + skips + window - starts[last]
    # A window's first token is an input only: what it carries is not trained there.
    num_trained = stream_trained_before(last, ends) - stream_trained_before(first, skips + 1)
    kept = np.flatnonzero(num_trained)
    if not len(kept):
        raise UserError(
            f"{int(stream.sum())} tokens fill no row of row_length {row_length} that has a trained "
            'token; lower row_length or set packing to "best_fit"'
        )
    num_rows = max(1, round(num_epochs * len(kept))) if max_rows is None else max_rows
    epochs = range(-(-num_rows // len(kept)))
    order = [kept[keyed_permutation(len(kept), seed, "epoch", epoch)] for epoch in epochs]
    rows = np.concatenate(order)[:num_rows]
    row_sizes = last[rows] + 1 - first[rows]
    return Layout(
        offsets=np.concatenate([[0], np.cumsum(row_sizes)]),
        draws=draws[ranges(first[rows], row_sizes)],
        skips=skips[rows],
        epochs=np.arange(num_rows + 1) / len(kept),
        num_positions=num_rows * row_length,
    )


def trained_spans(loss_weights: np.ndarray) -> np.ndarray:
    """Returns where each stretch of tokens with a weight begins and ends, int64 [spans, 2]."""
    edges, was_trained = [], False
    for start in range(0, len(loss_weights), _BLOCK):  # block by block: the array may be a file
        trained = loss_weights[start : start + _BLOCK] > 0
        edges.append(np.flatnonzero(np.diff(trained, prepend=was_trained)) + start)
        was_trained = bool(trained[-1])
    if was_trained:
        edges.append(np.array([len(loss_weights)]))
    return np.concatenate(edges).reshape(-1, 2)


def _trained_before(spans: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns how many trained tokens stand before each place, int64 [places]."""
    starts, stops = np.concatenate([[[0, 0]], spans]).T  # an empty one, so that one has begun
    span = np.searchsorted(starts, places, side="right") - 1
    total = np.cumsum(stops - starts)
    return total[span] - np.maximum(stops[span] - places, 0)
