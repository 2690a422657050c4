"""The statistics of reports on worked cases, held against those of statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

from jaxllm.reporting.paired_tests import holm, permutation_p_value
from jaxllm.reporting.reliability import detectable_difference, samples_needed
from jaxllm.reporting.statistics import mean_interval

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("right, count", [(0, 10), (3, 10), (10, 10), (1, 1), (77, 100), (5, 2000)])
def test_the_interval_of_right_and_wrong_answers_is_wilsons(right, count):
    from statsmodels.stats.proportion import proportion_confint

    interval = mean_interval([1.0] * right + [0.0] * (count - right))
    expected = proportion_confint(right, count, alpha=0.05, method="wilson")
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


# Both right, only the first, only the second, both wrong. The second table is the one by which
# Agresti explains the test (approval of a prime minister in two surveys), a tenth of it.
@pytest.mark.parametrize("table", [(10, 2, 12, 26), (79, 15, 9, 57), (40, 5, 5, 0), (3, 0, 9, 8)])
def test_permutations_of_right_and_wrong_answers_are_mcnemars_exact_test(table):
    from statsmodels.stats.contingency_tables import mcnemar

    both, lost, gained, neither = table
    differences = np.array([0.0] * both + [-1.0] * lost + [1.0] * gained + [0.0] * neither)
    expected = mcnemar([[both, lost], [gained, neither]], exact=True).pvalue
    assert permutation_p_value([differences]) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("seed", range(5))
def test_holms_correction_is_that_of_multipletests(seed):
    from statsmodels.stats.multitest import multipletests

    p_values = list(np.random.default_rng(seed).beta(0.4, 2, size=12))
    p_values += p_values[:2]  # ties
    expected = multipletests(p_values, alpha=0.05, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(expected), abs=1e-12)


@pytest.mark.parametrize("spread, difference", [(0.5, 0.05), (0.3, 0.1), (0.7, 0.02)])
def test_samples_needed_are_those_of_a_normal_test_with_that_power(spread, difference):
    from statsmodels.stats.power import NormalIndPower

    paired = NormalIndPower(ddof=0)
    wanted = {"alpha": 0.05, "power": 0.8, "ratio": 0, "alternative": "two-sided"}
    count = paired.solve_power(effect_size=difference / spread, **wanted)
    assert samples_needed(spread, difference) == pytest.approx(count, abs=1)
    found = paired.solve_power(nobs1=400, **wanted)
    assert detectable_difference(spread, 400) == pytest.approx(found * spread, rel=1e-3)
