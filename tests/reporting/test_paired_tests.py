from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jaxllm.reporting.paired_tests import bootstrap_difference, holm, permutation_p_value
from jaxllm.reporting.statistics import paired_difference


def _pairs(count, before, after, *, seed=0, shared=0.5):
    """Right and wrong answers of two models, alike on a share of the samples."""
    generator = np.random.default_rng(seed)
    luck, other = generator.random(count), generator.random(count)
    again = np.where(generator.random(count) < shared, luck, other)
    return (luck < before).astype(float), (again < after).astype(float)


@pytest.mark.parametrize("gained, lost", [(12, 2), (5, 5), (0, 9), (1, 0)])
def test_for_right_and_wrong_answers_the_permutation_test_is_mcnemars(gained, lost):
    differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * 20)
    expected = stats.binomtest(gained, gained + lost, 0.5).pvalue
    assert permutation_p_value([differences]) == pytest.approx(expected, abs=0.015)


def test_graded_differences_get_the_p_value_of_scipys_permutations():
    differences = np.random.default_rng(1).normal(0.2, 0.5, size=14)
    exact = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert permutation_p_value([differences]) == pytest.approx(exact.pvalue, abs=0.015)


def test_parts_count_the_same_whatever_their_size():
    small, large = np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.0, -0.1] * 50)
    weights = np.concatenate([small / small.size, large / large.size])
    generator = np.random.default_rng(3)
    signs = generator.choice((-1.0, 1.0), size=(20_000, weights.size))
    expected = (np.abs(signs @ weights) >= abs(weights.sum()) - 1e-12).mean()
    assert permutation_p_value([small, large]) == pytest.approx(expected, abs=0.015)
    assert permutation_p_value([np.zeros(9)]) == 1.0


def test_the_bootstrap_agrees_with_scipys_and_is_a_little_wider():
    before, after = _pairs(400, 0.4, 0.5)
    interval = bootstrap_difference(before, after)
    expected = stats.bootstrap(
        (after - before,), np.mean, method="percentile", random_state=0, n_resamples=4_000
    ).confidence_interval
    assert interval.mean == pytest.approx(after.mean() - before.mean())
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.006)
    small = [values[:12] for values in (before, after)]
    widened = bootstrap_difference(*small)
    plain = stats.bootstrap(
        (small[1] - small[0],), np.mean, method="percentile", random_state=0
    ).confidence_interval
    assert widened.high - widened.low >= plain.high - plain.low


def test_differences_that_never_vary_get_the_closed_interval():
    right = np.ones(30)
    assert bootstrap_difference(0 * right, right) == paired_difference(0 * right, right)
    assert bootstrap_difference(right, right).high > 0.05
    assert bootstrap_difference(right[:1], right[:1]) == paired_difference([1.0], [1.0])


def test_the_same_scores_give_the_same_numbers():
    pairs = _pairs(100, 0.4, 0.5)
    assert bootstrap_difference(*pairs) == bootstrap_difference(*pairs)
    assert permutation_p_value([pairs[1] - pairs[0]]) == permutation_p_value([pairs[1] - pairs[0]])


def test_holms_correction_on_a_worked_example():
    # Four tests as in the textbooks: 4 * .005, 3 * .01, 2 * .03, and never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def _graded(generator, count):
    """Answers that are often wholly wrong or right; half of what moves them is shared."""
    shared = generator.normal(size=count)
    noise = generator.normal(size=(2, count))
    level_2N = stats.norm.cdf(np.sqrt(0.5) * shared + np.sqrt(0.5) * noise)
    bounds = ((0.4, 0.2), (0.25, 0.2))  # wholly wrong, wholly right
    scores = [
        np.clip((level - wrong) / (1 - wrong - right), 0, 1)
        for level, (wrong, right) in zip(level_2N, bounds, strict=True)
    ]
    means = [right + (1 - wrong - right) / 2 for wrong, right in bounds]
    return *scores, means[1] - means[0]


def _binary(generator, count):
    rate = generator.uniform(0.1, 0.9)
    gain = generator.choice((0.0, 0.05, 0.1)) * min(1.0, (1 - rate) / 0.1)
    before, after = _pairs(count, rate, rate + gain, seed=generator.integers(2**32))
    return before, after, gain


def _rates(draw, count, evaluations, seed=0):
    """How often the interval holds the truth, and how often equal models are told apart."""
    generator = np.random.default_rng(seed)
    covered = rejected = 0
    for _ in range(evaluations):
        before, after, truth = draw(generator, count)
        interval = bootstrap_difference(before, after, seed=int(generator.integers(2**32)))
        covered += interval.low - 1e-12 <= truth <= interval.high + 1e-12
        # Either of two equal models may be the first.
        swap = generator.random(count) < 0.5
        exchanged = np.where(swap, before - after, after - before)
        seed_of = int(generator.integers(2**32))
        rejected += permutation_p_value([exchanged], seed=seed_of) <= 0.05
    return covered / evaluations, rejected / evaluations


@pytest.mark.parametrize("draw", [_binary, _graded])
def test_intervals_and_p_values_hold_their_level_in_a_few_simulations(draw):
    coverage, false_positives = _rates(draw, 50, evaluations=250)
    assert 0.91 <= coverage <= 0.99
    assert false_positives <= 0.085  # 0.05 and two and a half standard errors


@pytest.mark.slow
@pytest.mark.parametrize("draw", [_binary, _graded])
@pytest.mark.parametrize("count", [20, 50, 100, 300, 1_000])
def test_intervals_and_p_values_hold_their_level(draw, count):
    coverage, false_positives = _rates(draw, count, evaluations=2_000)
    low, high = (0.92, 0.98) if count < 100 else (0.93, 0.97)
    assert low <= coverage <= high
    assert false_positives <= 0.06
