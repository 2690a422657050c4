"""Strengths from comparisons: against a general optimiser, at the edges, and by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import optimize

from jaxllm.reporting.bradley_terry import strengths
from jaxllm.reporting.win_rates import LOSS, TIE, WIN, Comparison


def _one(first, second, question, worth):
    return Comparison(first=first, second=second, question=str(question), worth=worth)


def _played(true, num_questions, rng, *, ties=0.0):
    """Comparisons of every two models on every question, as the model has them."""
    found = []
    for question in range(num_questions):
        for (first, b), (second, c) in itertools.combinations(true.items(), 2):
            tied, won = rng.random() < ties, rng.random() < 1 / (1 + np.exp(c - b))
            found.append(_one(first, second, question, TIE if tied else WIN if won else LOSS))
    return found


def test_strengths_are_the_likeliest():
    true = {"a": 1.2, "b": 0.4, "c": -0.3, "d": -1.3}
    comparisons = _played(true, 30, np.random.default_rng(0), ties=0.2)
    found = strengths(comparisons, num_bootstrap=2)
    names = list(true)
    # One more tie for each two that met.
    extra = [_one(*pair, "extra", TIE) for pair in itertools.combinations(names, 2)]

    def surprise(values):
        by_name = dict(zip(names, values, strict=True))
        total = 0.0
        for one in comparisons + extra:
            edge = by_name[one.first] - by_name[one.second]
            total += one.worth * np.logaddexp(0, -edge) + (1 - one.worth) * np.logaddexp(0, edge)
        return total

    best = optimize.minimize(surprise, np.zeros(4), tol=1e-12).x
    assert [found[name].mean for name in names] == pytest.approx(best - best.mean(), abs=1e-4)
    assert list(found) == sorted(found, key=lambda name: -found[name].mean)


def test_who_always_wins_is_finitely_strong():
    found = strengths([_one("a", "b", question, WIN) for question in range(20)])
    assert found["a"].mean == pytest.approx(np.log(20.5 / 0.5) / 2)
    assert found["b"].mean == -found["a"].mean


def test_models_that_never_met_have_no_common_scale():
    comparisons = [_one("a", "b", 1, WIN), _one("c", "d", 1, LOSS)]
    assert strengths(comparisons) == {} == strengths([])
    assert set(strengths([*comparisons, _one("b", "c", 1, TIE)])) == set("abcd")


def test_intervals_hold_the_truth():
    true = {"a": 0.6, "b": 0.0, "c": -0.6}
    rng, held = np.random.default_rng(1), []
    for _ in range(40):
        found = strengths(_played(true, 60, rng), num_bootstrap=200)
        held += [found[name].low <= value <= found[name].high for name, value in true.items()]
    assert 0.88 <= np.mean(held) <= 0.99


def test_the_same_comparisons_give_the_same_intervals():
    comparisons = _played({"a": 0.5, "b": -0.5}, 20, np.random.default_rng(2))
    assert strengths(comparisons) == strengths(comparisons)
