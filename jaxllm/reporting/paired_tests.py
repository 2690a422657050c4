"""Resampling of paired differences: bootstrap intervals, permutation p-values, Holm's correction.

- The bootstrap draws samples of the size there is and takes percentiles, at a level widened so
  that the interval of normal data would be Student's (the expanded percentile interval of
  Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789). Differences that never vary have
  nothing to draw from; they get the closed interval of `paired_difference`.
- The permutation test asks how often differences with signs at random come as far from 0. It is
  McNemar's test for 0/1 scores, and never rejects more often than it says where the two models
  are exchangeable (Phipson & Smyth 2010 for the +1).
- Families of tests are corrected as in Holm (1979).

Random numbers come from a fixed seed, so that a report is the same each time it is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import special

from jaxllm.reporting.statistics import LEVEL, Interval, paired_difference

_BOOTSTRAPS = 2_000
_PERMUTATIONS = 4_999
_CHUNK = 2**20  # numbers drawn at a time


def bootstrap_difference(
    before_N: np.ndarray, after_N: np.ndarray, *, level: float = LEVEL, seed: int = 0
) -> Interval:
    """The mean of `after - before` over samples, with the interval of a paired bootstrap."""
    difference_N = np.asarray(after_N, np.float64) - np.asarray(before_N, np.float64)
    count = difference_N.size
    if count < 2 or np.ptp(difference_N) == 0:
        return paired_difference(before_N, after_N, level=level)
    widened = math.sqrt(count / (count - 1)) * special.stdtrit(count - 1, (1 + level) / 2)
    tail = float(special.ndtr(-widened))
    generator = np.random.default_rng(seed)
    mean_R = np.empty(_BOOTSTRAPS)
    for start, stop in _chunks(_BOOTSTRAPS, count):
        drawn_RN = generator.integers(count, size=(stop - start, count), dtype=np.int32)
        mean_R[start:stop] = difference_N[drawn_RN].mean(axis=1)
    mean = float(difference_N.mean())
    low, high = np.quantile(mean_R, (tail, 1 - tail))
    return Interval(mean=mean, low=min(mean, float(low)), high=max(mean, float(high)))


def permutation_p_value(parts: Sequence[np.ndarray], *, seed: int = 0) -> float:
    """The two-sided p-value of a mean over parts of paired differences, by signs at random.

    A part is the differences of one task; every part counts the same, whatever its size, as in a
    category. For an average, give each part scaled by its share (their sum is what is tested).
    """
    weighted_M = np.concatenate([np.asarray(part, np.float64) / part.size for part in parts])
    observed = abs(float(weighted_M.sum()))
    size_M = np.abs(weighted_M[weighted_M != 0])
    total, count = float(size_M.sum()), size_M.size
    if not count:
        return 1.0
    generator = np.random.default_rng(seed)
    as_far = 0
    for start, stop in _chunks(_PERMUTATIONS, count):
        bytes_RB = generator.integers(256, size=(stop - start, -(-count // 8)), dtype=np.uint8)
        is_positive_RM = np.unpackbits(bytes_RB, axis=1, count=count)
        # The positive ones minus the others, which are the rest of the total.
        sum_R = 2 * (is_positive_RM @ size_M) - total
        as_far += int((np.abs(sum_R) >= observed - 1e-9 * total).sum())
    return (as_far + 1) / (_PERMUTATIONS + 1)


def _chunks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that keep a table of random numbers small."""
    step = max(1, _CHUNK // columns)
    for start in range(0, rows, step):
        yield start, min(rows, start + step)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of a family, corrected so that one false positive in it stays as rare."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
