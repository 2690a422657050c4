"""How far raters agree beyond chance: people among themselves, judges, people with judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(units: Sequence[Sequence[float]], *, level: Level) -> float | None:
    """Krippendorff's alpha over the values that each unit was given, by however many raters.

    1 is perfect agreement, 0 what chance would give, below 0 systematic disagreement. None where
    it is undefined: no unit with two values, or all values equal. Units of one value do not count.
    Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011).
    """
    paired = [unit for unit in units if len(unit) > 1]
    values = np.unique([value for unit in paired for value in unit])
    if len(values) < 2:
        return None
    counts_UV = np.array([[unit.count(value) for value in values] for unit in map(list, paired)])
    others_U = counts_UV.sum(axis=1) - 1
    pairs_VV = counts_UV.T @ (counts_UV / others_U[:, None])
    pairs_VV -= np.diag((counts_UV / others_U[:, None]).sum(axis=0))
    total_V = counts_UV.sum(axis=0)
    distance_VV = _distances(values, total_V, level)
    expected = float(total_V @ distance_VV @ total_V) / (total_V.sum() - 1)
    return 1 - float((pairs_VV * distance_VV).sum()) / expected


def _distances(values_V: np.ndarray, total_V: np.ndarray, level: Level) -> np.ndarray:
    """Squared distances between values; ordinal ones count how many values lie between two."""
    if level == "nominal":
        return 1.0 - np.eye(len(values_V))
    # A value stands at the middle of its ranks.
    position_V = np.cumsum(total_V) - total_V / 2 if level == "ordinal" else values_V
    return (position_V[:, None] - position_V[None, :]) ** 2


def cohen_kappa(
    first: Sequence[float], second: Sequence[float], *, weights: Literal["none", "quadratic"]
) -> float | None:
    """Cohen's kappa of two raters' values for the same units, in the same order.

    With quadratic weights a disagreement counts by its squared distance, as suits a scale. None
    where it is undefined: no units, or both raters always gave the one same value. Raises
    ValueError when the lengths differ. Cohen (1960, 1968).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are no pairs")
    first_N, second_N = np.asarray(first, np.float64), np.asarray(second, np.float64)
    by_chance_NN = _disagreement(first_N[:, None], second_N[None, :], weights)
    if not by_chance_NN.any():
        return None
    return 1 - float(_disagreement(first_N, second_N, weights).mean() / by_chance_NN.mean())


def _disagreement(first: np.ndarray, second: np.ndarray, weights: str) -> np.ndarray:
    return (first - second) ** 2 if weights == "quadratic" else (first != second).astype(np.float64)
