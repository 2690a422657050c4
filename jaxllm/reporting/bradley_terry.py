"""Strengths of models from comparisons of two (Bradley & Terry 1952), with bootstrap intervals.

A model of strength b beats one of strength c with probability 1 / (1 + exp(c - b)); a tie is half a
win of each (Davidson's model would give ties a parameter of their own). Each two that met get one
more tie, so that a model that always won has a finite strength. Intervals are percentiles over
resampled questions, since what one question brings is no independent sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components

from jaxllm.reporting.statistics import LEVEL, Interval
from jaxllm.reporting.win_rates import TIE, Comparison

_MOST_STEPS = 100
_SMALLEST_STEP = 1e-9


def strengths(
    comparisons: Sequence[Comparison], *, num_bootstrap: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Each model's strength in logits, their mean being 0, the strongest first.

    Empty where the models fall into groups that never met: their strengths have no common scale.
    """
    names = sorted({name for one in comparisons for name in (one.first, one.second)})
    questions = sorted({one.question for one in comparisons})
    place = {name: index for index, name in enumerate(names)}
    row = {question: index for index, question in enumerate(questions)}
    wins_QMM = np.zeros((len(questions), len(names), len(names)))
    for one in comparisons:
        first, second = place[one.first], place[one.second]
        wins_QMM[row[one.question], first, second] += one.worth
        wins_QMM[row[one.question], second, first] += 1 - one.worth
    wins_MM = wins_QMM.sum(axis=0)
    met_MM = wins_MM + wins_MM.T > 0
    if not names or connected_components(met_MM, directed=False)[0] > 1:
        return {}
    times_BQ = np.random.default_rng(seed).multinomial(
        len(questions), np.full(len(questions), 1 / len(questions)), size=num_bootstrap
    )
    resampled_BMM = np.einsum("bq,qmn->bmn", times_BQ, wins_QMM)
    fitted_BM = _fit(np.concatenate([wins_MM[None], resampled_BMM]) + TIE * met_MM)
    low_M, high_M = np.quantile(fitted_BM[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        names[index]: Interval(
            mean=float(fitted_BM[0, index]), low=float(low_M[index]), high=float(high_M[index])
        )
        for index in np.argsort(-fitted_BM[0], kind="stable")
    }


def _fit(wins_BMM: np.ndarray) -> np.ndarray:
    """The likeliest strengths of each table of wins, by Newton's method from 0."""
    games_BMM = wins_BMM + wins_BMM.transpose(0, 2, 1)
    strengths_BM = np.zeros(wins_BMM.shape[:2])
    diagonal_M = np.arange(wins_BMM.shape[1])
    for _ in range(_MOST_STEPS):
        expected_BMM = 1 / (1 + np.exp(strengths_BM[:, None, :] - strengths_BM[:, :, None]))
        gradient_BM = (wins_BMM - games_BMM * expected_BMM).sum(axis=2)
        hessian_BMM = -games_BMM * expected_BMM * (1 - expected_BMM)
        hessian_BMM[:, diagonal_M, diagonal_M] -= hessian_BMM.sum(axis=2)
        # Only differences are determined: what is added fixes the sum at 0.
        step_BM = np.linalg.solve(hessian_BMM + 1, gradient_BM[..., None])[..., 0]
        strengths_BM += np.clip(step_BM, -1, 1)
        if np.abs(step_BM).max() < _SMALLEST_STEP:
            break
    return strengths_BM - strengths_BM.mean(axis=1, keepdims=True)
