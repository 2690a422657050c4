from __future__ import annotations

import random

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxllm.reporting.agreement import cohen_kappa, krippendorff_alpha

_SCORES = st.integers(1, 5)


@given(
    units=st.lists(st.lists(_SCORES | st.none(), min_size=3, max_size=3), min_size=2, max_size=20),
    level=st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_is_the_librarys(units, level):
    alpha = krippendorff_alpha(
        [[value for value in unit if value is not None] for unit in units], level=level
    )
    if alpha is None:
        paired = [[v for v in unit if v is not None] for unit in units]
        assert len({v for unit in paired if len(unit) > 1 for v in unit}) < 2
        return
    table = np.array([[np.nan if v is None else v for v in unit] for unit in units]).T
    assert alpha == pytest.approx(krippendorff.alpha(table, level_of_measurement=level))


@pytest.mark.parametrize("units", [[], [[1], [2], []], [[3, 3], [3, 3, 3]]])
def test_alpha_is_undefined_without_two_values_to_compare(units):
    assert krippendorff_alpha(units, level="ordinal") is None


def test_alpha_of_random_raters_is_near_zero_and_of_opposed_ones_below():
    draw = random.Random(0)
    units = [[draw.randint(1, 5), draw.randint(1, 5)] for _ in range(4000)]
    assert abs(krippendorff_alpha(units, level="ordinal")) < 0.05
    assert krippendorff_alpha([[1, 5], [5, 1]], level="ordinal") < -0.3


def test_kappa_of_a_worked_table():
    # 20 both yes, 5 yes/no, 10 no/yes, 15 both no: (0.7 - 0.5) / (1 - 0.5).
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(first, second, weights="none") == pytest.approx(0.4)
    # Two values have one distance, so weights change nothing.
    assert cohen_kappa(first, second, weights="quadratic") == pytest.approx(0.4)


@given(st.lists(st.tuples(_SCORES, _SCORES), min_size=2, max_size=40))
def test_quadratic_kappa_is_the_concordance_correlation(pairs):
    first, second = np.array(pairs).T
    spread = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    kappa = cohen_kappa(list(first), list(second), weights="quadratic")
    if spread == 0:
        assert kappa is None
    else:
        covariance = float(np.cov(first, second, ddof=0)[0, 1])
        assert kappa == pytest.approx(2 * covariance / spread)


def test_kappa_is_undefined_without_variation_and_refuses_what_is_not_paired():
    assert cohen_kappa([], [], weights="none") is None
    assert cohen_kappa([2, 2], [2, 2], weights="quadratic") is None
    with pytest.raises(ValueError, match="no pairs"):
        cohen_kappa([1], [1, 2], weights="none")
