"""Confidence intervals of scores: of one task, of a mean over tasks, of two models' difference.

All are closed formulas, so a result has one interval and needs no random seed:

- The mean of scores between 0 and 1 gets Wilson's score interval (Wilson 1927). For graded scores
  the number of samples is replaced by the effective one, mean (1 - mean) / standard error^2, and
  the normal quantile by Student's, as survey statistics does for proportions (Korn & Graubard
  1998). For 0/1 scores this is Wilson's interval itself.
- Means over tasks and differences of models combine such intervals by their distances to the
  estimate (MOVER: Zou & Donner 2008, https://doi.org/10.1002/sim.3095), so a task where every score
  is 0 still adds its uncertainty, which a bootstrap over samples would lose.

In simulations (tests/reporting/test_statistics.py) these hold their level from about 10 samples on,
where t and bootstrap intervals of skewed scores fall as low as 55 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its confidence interval, `low <= mean <= high`."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's length: what stands behind the ± of a table."""
        return (self.high - self.low) / 2


def mean_interval(scores: Sequence[float] | np.ndarray, *, level: float = LEVEL) -> Interval:
    """The mean of one task's scores with its confidence interval.

    Scores within 0-1 get an interval within 0-1 (see above); other scales (a judge's 1-10) get
    Student's t interval, which is infinite for a single score. Raises ValueError without scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError("an interval needs a list of at least one finite score")
    mean, count = float(values.mean()), values.size
    if values.min() < 0 or values.max() > 1:
        if count == 1:
            return Interval(mean=mean, low=-math.inf, high=math.inf)
        half_width = _t_quantile(level, count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
        return Interval(mean=mean, low=mean - half_width, high=mean + half_width)
    # Scores that never vary tell nothing of their spread: take the widest that 0-1 allows.
    if _is_binary(values) or np.ptp(values) == 0:
        return _wilson(mean, count, float(special.ndtri((1 + level) / 2)))
    effective_count = mean * (1 - mean) * count / float(values.var(ddof=1))
    return _wilson(mean, effective_count, _t_quantile(level, count - 1))


def mean_of(intervals: Sequence[Interval]) -> Interval:
    """The plain mean of independent estimates: a category over tasks, AVR over categories."""
    if not intervals:
        raise ValueError("a mean needs at least one estimate")
    count = len(intervals)
    mean = math.fsum(part.mean for part in intervals) / count
    below = math.hypot(*(part.mean - part.low for part in intervals)) / count
    above = math.hypot(*(part.high - part.mean for part in intervals)) / count
    return Interval(mean=mean, low=mean - below, high=mean + above)


def paired_difference(
    before: Sequence[float] | np.ndarray,
    after: Sequence[float] | np.ndarray,
    *,
    level: float = LEVEL,
) -> Interval:
    """The mean of `after - before`, two models' scores on the same samples in the same order.

    Newcombe's hybrid score interval for paired proportions (1998, method 10), with the sample
    correlation and the intervals of `mean_interval`, so it serves graded scores too.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} and {len(after)} scores are no pairs")
    first, second = mean_interval(before, level=level), mean_interval(after, level=level)
    correlation = _correlation(np.asarray(before, np.float64), np.asarray(after, np.float64))
    below = _joint_distance(first.high - first.mean, second.mean - second.low, correlation)
    above = _joint_distance(first.mean - first.low, second.high - second.mean, correlation)
    difference = second.mean - first.mean
    return Interval(mean=difference, low=difference - below, high=difference + above)


def _wilson(mean: float, count: float, quantile: float) -> Interval:
    shrink = 1 + quantile**2 / count
    centre = (mean + quantile**2 / (2 * count)) / shrink
    spread = quantile / shrink * math.sqrt(mean * (1 - mean) / count + quantile**2 / (4 * count**2))
    return Interval(
        mean=mean,
        low=max(0.0, min(mean, centre - spread)),
        high=min(1.0, max(mean, centre + spread)),
    )


def _t_quantile(level: float, degrees: int) -> float:
    return float(special.stdtrit(degrees, (1 + level) / 2))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation; for 0/1 scores a positive one gets Newcombe's continuity correction.

    Without it two models right on the same few samples would differ by 0 with certainty.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    correlation = float(np.corrcoef(first, second)[0, 1])
    if correlation > 0 and _is_binary(first) and _is_binary(second):
        correction = 1 / (2 * first.size * float(first.std() * second.std()))
        return max(0.0, correlation - correction)
    return correlation


def _is_binary(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _joint_distance(first: float, second: float, correlation: float) -> float:
    squared = first**2 - 2 * correlation * first * second + second**2
    return math.sqrt(max(squared, 0.0))
