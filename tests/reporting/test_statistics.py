from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from jaxllm.reporting.statistics import Interval, mean_interval, mean_of, paired_difference


@pytest.mark.parametrize("right, count", [(0, 10), (3, 10), (10, 10), (1, 1), (77, 100)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_right_and_wrong_answers_get_wilsons_interval(right, count, level):
    scores = [1.0] * right + [0.0] * (count - right)
    interval = mean_interval(scores, level=level)
    expected = stats.binomtest(right, count).proportion_ci(level, method="wilson")
    assert interval.mean == right / count
    assert interval.low == pytest.approx(expected.low, abs=1e-12)
    assert interval.high == pytest.approx(expected.high, abs=1e-12)


def test_scores_on_another_scale_get_students_interval():
    scores = [7.0, 9.0, 4.0, 8.0]
    interval = mean_interval(scores)
    expected = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert math.isinf(mean_interval([7.0]).high)


def test_graded_scores_get_a_narrower_interval_than_right_and_wrong_but_near_students():
    scores = np.random.default_rng(0).beta(4, 4, size=400)
    interval = mean_interval(scores)
    expected = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-3)
    same_mean = mean_interval(
        [1.0] * round(400 * scores.mean()) + [0.0] * (400 - round(400 * scores.mean()))
    )
    assert interval.half_width < 0.6 * same_mean.half_width


def test_equal_graded_scores_are_no_certainty():
    interval = mean_interval([0.5] * 9)
    assert interval.low < 0.3 < 0.7 < interval.high


@pytest.mark.parametrize("scores", [[], [[1.0]], [float("nan")], [float("inf"), 1.0]])
def test_what_is_no_list_of_scores_is_refused(scores):
    with pytest.raises(ValueError, match="finite score"):
        mean_interval(scores)


def test_a_mean_of_estimates_has_the_variance_of_a_mean():
    parts = [Interval(mean=0.2, low=0.1, high=0.4), Interval(mean=0.6, low=0.5, high=0.7)]
    together = mean_of(parts)
    assert together.mean == pytest.approx(0.4)
    assert together.low == pytest.approx(0.4 - math.sqrt(0.1**2 + 0.1**2) / 2)
    assert together.high == pytest.approx(0.4 + math.sqrt(0.2**2 + 0.1**2) / 2)
    assert mean_of(parts[:1]) == parts[0]
    with pytest.raises(ValueError, match="at least one"):
        mean_of([])


def test_difference_agrees_with_newcombes_worked_example():
    # Newcombe (1998), table II: 50 pairs, of which 12 right by the second only and 2 by the first
    # only, 36 right by both; his method 10 gives 0.0569 to 0.3404 for the difference 0.2.
    before = [1] * 36 + [1] * 2 + [0] * 12
    after = [1] * 36 + [0] * 2 + [1] * 12
    interval = paired_difference(before, after)
    assert interval.mean == pytest.approx(0.2)
    assert (interval.low, interval.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_difference_uses_the_pairing_and_changes_sign_with_the_order():
    generator = np.random.default_rng(0)
    before = generator.beta(2, 3, size=100)
    after = np.clip(before + generator.normal(0.05, 0.02, size=100), 0, 1)
    paired = paired_difference(before, after)
    shuffled = paired_difference(before, generator.permutation(after))
    assert paired.low > 0 > shuffled.low
    back = paired_difference(after, before)
    assert (back.mean, back.low) == pytest.approx((-paired.mean, -paired.high))


def test_agreeing_on_a_few_samples_is_no_certainty():
    assert paired_difference([1, 0, 1, 0, 1], [1, 0, 1, 0, 1]).high > 0.1
    with pytest.raises(ValueError, match="no pairs"):
        paired_difference([1, 0], [1])


def _rare(generator, count):  # mostly 0, now and then a part of the points
    scores = np.where(generator.random(count) < 0.92, 0, generator.beta(2, 2, count))
    return scores, 0.04


def _skewed(generator, count):
    return generator.beta(0.5, 1.5, count), 0.25


def _near_the_top(generator, count):
    scores = np.where(generator.random(count) < 0.85, 1, generator.beta(3, 3, count))
    return scores, 0.925


@pytest.mark.parametrize("draw", [_rare, _skewed, _near_the_top])
@pytest.mark.parametrize("count", [10, 40])
def test_graded_intervals_hold_their_level(draw, count):
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(600):
        scores, truth = draw(generator, count)
        interval = mean_interval(scores)
        covered += interval.low <= truth <= interval.high
    assert 0.925 <= covered / 600 <= 0.995


@pytest.mark.parametrize("rates", [(0.3, 0.5), (0.05, 0.9), (0.02, 0.05)])
def test_paired_intervals_hold_their_level(rates):
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(600):
        luck = generator.random(30)
        again = np.where(generator.random(30) < 0.5, luck, generator.random(30))
        interval = paired_difference(luck < rates[0], again < rates[1])
        covered += interval.low <= rates[1] - rates[0] <= interval.high
    assert covered / 600 >= 0.92


def test_intervals_of_an_average_hold_their_level_where_tasks_score_nothing():
    generator = np.random.default_rng(0)
    rates = (0.0, 0.0, 0.1, 0.5, 0.98)
    covered = 0
    for _ in range(400):
        interval = mean_of([mean_interval(generator.random(30) < rate) for rate in rates])
        covered += interval.low <= np.mean(rates) <= interval.high
    assert 0.93 <= covered / 400 <= 0.995
