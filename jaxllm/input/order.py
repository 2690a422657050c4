"""The order in which examples are drawn: a keyed shuffle of every source, mixed evenly."""

from __future__ import annotations

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
    num_examples: Sequence[int], repeats: Sequence[int], weights: Sequence[float] | None
) -> list[int]:
    """Returns how often each source is drawn from in one epoch of the mixture.

    An epoch has as many draws as there are examples, repeats counted. Without weights every
    source gives each example `repeat` times; with weights the draws are shared out in proportion
    to them (largest remainder), and a source's own passes go on over the mixture's epochs.
    """
    wanted = [size * repeat for size, repeat in zip(num_examples, repeats, strict=True)]
    if weights is None:
        return wanted
    shares = np.asarray(weights, np.float64) * (sum(wanted) / sum(weights))
    counts = np.floor(shares).astype(np.int64)
    missing = sum(wanted) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    return counts.tolist()


def source_draws(name: str, size: int, *, seed: int, start: int, count: int) -> np.ndarray:
    """Returns the draws start..start+count of a source, example indices int64 [count].

    Pass p over the source is draws p * size to (p + 1) * size: a permutation keyed by
    (seed, name, p), so any stretch follows from these without the ones before.
    """
    stop = start + count
    passes = [
        keyed_permutation(size, seed, "source", name, number)[
            max(start - number * size, 0) : stop - number * size
        ]
        for number in range(start // size, -(-stop // size))
    ]
    return np.concatenate(passes) if passes else np.zeros(0, np.int64)


def epoch_draws(
    names: Sequence[str],
    sizes: Sequence[int],
    counts: Sequence[int],
    *,
    seed: int,
    epoch: int,
    mixed: bool = True,
) -> np.ndarray:
    """Returns the draws of one epoch of the mixture, int64 [sum(counts)].

    A draw is the number of an example when the sources' examples are counted through, the first
    source's first. Mixed, the j-th of a source's c draws stands at (j + 1/2) / c of the epoch, so
    every stretch holds the sources in about their proportion. Not mixed, the sources follow one
    another.
    """
    firsts = np.cumsum([0, *sizes[:-1]])
    draws = np.concatenate(
        [
            first + source_draws(name, size, seed=seed, start=epoch * count, count=count)
            for name, first, size, count in zip(names, firsts, sizes, counts, strict=True)
        ]
    )
    if mixed:
        place = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
        draws = draws[np.argsort(place, kind="stable")]
    return draws
