from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.reliability import (
    detectable_difference,
    judge_evaluation,
    samples_needed,
    split_half,
)
from jaxllm.reporting.sensitivity import find_sensitivities


def test_split_half_reliability_is_what_the_spread_of_models_and_samples_makes_it():
    generator = np.random.default_rng(0)
    # True scores vary by 0.1 over models, the mean of 100 samples by 0.05: 0.01 / (0.01 + 0.0025).
    truth_M = generator.normal(0.5, 0.1, size=300)
    score_MN = truth_M[:, None] + generator.normal(0, 0.5, size=(300, 100))
    assert split_half(score_MN) == pytest.approx(0.8, abs=0.05)
    noise_MN = generator.normal(0, 0.5, size=(300, 100))
    assert abs(split_half(noise_MN)) < 0.25
    assert split_half(score_MN[:2]) is None
    assert split_half(np.ones((5, 10))) is None


def test_the_detectable_difference_is_found_four_times_in_five():
    generator = np.random.default_rng(1)
    count, spread = 80, 0.4
    difference = detectable_difference(spread, count)
    drawn = generator.normal(difference, spread, size=(4_000, count))
    found = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)
    assert difference == pytest.approx((special.ndtri(0.975) + special.ndtri(0.8)) * 0.4 / 80**0.5)
    assert samples_needed(spread, difference) in (80, 81)


def test_a_board_is_judged_by_its_own_models(make_result):
    generator = np.random.default_rng(2)
    results = [
        make_result(
            None,
            {name: (generator.random(60) < rate).astype(int).tolist() for name in "ABC"},
            folder=label,
            changes={"model": {"name": label}},
        )
        for label, rate in (("low", 0.1), ("middle", 0.5), ("high", 0.9))
    ]
    (board,) = make_boards(results)
    found = judge_evaluation(board)
    assert [task.num_models for task in found.tasks] == [3, 3, 3]
    assert all(task.split_half > 0.9 for task in found.tasks)
    assert all(0.05 < task.detectable < 0.35 for task in found.tasks)
    assert [one.label for one in found.ranks] == ["high", "middle", "low"]
    assert all(one.stays > 0.95 and one.low == one.high == one.rank for one in found.ranks)
    assert found.kendall > 0.95


def test_ways_of_asking_stand_side_by_side(make_result):
    scores = {1: [1, 0, 1, 0], 4: [1, 1, 1, 1]}
    results = []
    for shots, values in scores.items():
        result = make_result(None, {"A": values}, folder=str(shots))
        result.tasks["mini/v1:a"]["num_shots"] = shots
        results.append(result)
    (found,) = find_sensitivities(results)
    assert [variant.conditions for variant in found.variants] == [
        (("num_shots", 1),),
        (("num_shots", 4),),
    ]
    assert found.spread == 0.5
    assert find_sensitivities(results[:1]) == ()
