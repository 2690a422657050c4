"""The order in which examples are drawn: a keyed shuffle of every source, mixed evenly."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np


def keyed_permutation(size: int, *key: object) -> np.ndarray:
    """Returns a permutation of range(size) that depends on the key alone, int64 [size].

    It sorts the raw output of Philox (Salmon et al. 2011), which NumPy keeps stable, while the
    streams of `Generator` may change from one release to the next.
    """
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(size)
    return np.argsort(bits, kind="stable")


def draws_per_epoch(
    num_examples: Sequence[int], repeats: Sequence[int], weights: Sequence[float | None]
) -> list[int]:
    """Returns how often each source is drawn from in one epoch of the mixture.

    A source without a weight gives each of its examples `repeat` times. Those with a weight
    together have as many draws as they have examples, shared out in proportion to their weights
    (largest remainder); their own passes go on over the mixture's epochs.
    """
    counts = np.array(num_examples, np.int64) * np.array(repeats, np.int64)
    weighted = [index for index, weight in enumerate(weights) if weight is not None]
    if weighted:
        total = sum(num_examples[index] for index in weighted)
        rates = np.array([weights[index] for index in weighted], np.float64)
        shares = rates * (total / rates.sum())
        drawn = np.floor(shares).astype(np.int64)
        missing = total - int(drawn.sum())
        drawn[np.argsort(drawn - shares, kind="stable")[:missing]] += 1
        counts[weighted] = drawn
    return counts.tolist()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceOrder:
    """How a source is drawn from.

    Attributes:
      name: keys its shuffle.
      size: examples.
      draws: how many an epoch of the mixture takes.
      shuffle: whether each pass over it has an order of its own, or all the order of the source.
    """

    name: str
    size: int
    draws: int
    shuffle: bool = True


def source_draws(source: SourceOrder, *, seed: int, start: int, count: int) -> np.ndarray:
    """Returns the draws start..start+count of a source, example indices int64 [count].

    Pass p over the source is draws p * size to (p + 1) * size: a permutation keyed by
    (seed, name, p), so any stretch follows from these without the ones before.
    """
    size, stop = source.size, start + count
    if not source.shuffle:
        return np.arange(start, stop) % size
    passes = [
        keyed_permutation(size, seed, "source", source.name, number)[
            max(start - number * size, 0) : stop - number * size
        ]
        for number in range(start // size, -(-stop // size))
    ]
    return np.concatenate(passes) if passes else np.zeros(0, np.int64)


def epoch_draws(
    sources: Sequence[SourceOrder], *, seed: int, epoch: int, mixed: bool = True
) -> np.ndarray:
    """Returns the draws of one epoch of the mixture, int64 [sum of the sources' draws].

    A draw is the number of an example when the sources' examples are counted through, the first
    source's first. Mixed, the j-th of a source's c draws stands at (j + 1/2) / c of the epoch, so
    every stretch holds the sources in about their proportion. Not mixed, the sources follow one
    another.
    """
    firsts = np.cumsum([0, *(source.size for source in sources[:-1])])
    draws = np.concatenate(
        [
            first + source_draws(source, seed=seed, start=epoch * source.draws, count=source.draws)
            for first, source in zip(firsts, sources, strict=True)
        ]
    )
    if mixed:
        place = np.concatenate([(np.arange(s.draws) + 0.5) / s.draws for s in sources])
        draws = draws[np.argsort(place, kind="stable")]
    return draws
