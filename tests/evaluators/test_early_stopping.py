"""Patience, by hand."""

from __future__ import annotations

import math

import pytest

from jaxllm.errors import UserError
from jaxllm.evaluators.early_stopping import EarlyStopping, EarlyStoppingSettings


def _ends_at(scores, *, mode="min", **settings):
    stopping = EarlyStopping(EarlyStoppingSettings(**settings), metric="loss", mode=mode)
    for number, score in enumerate(scores, start=1):
        stopping.observe({"loss": score, "other": -float(number)})
        if stopping.is_over:
            return number
    return None


@pytest.mark.parametrize(
    "scores, settings, end",
    [
        ([3, 2, 2.5, 2.1, 1], {"patience": 2}, 4),
        ([3, 2, 2.5, 1.9, 2, 2], {"patience": 2}, 6),  # a better one starts the count anew
        ([3, 3, 3], {"patience": 2}, 3),
        ([3, 2.95, 2.9, 2.8], {"patience": 2, "min_delta": 0.15}, 3),
        ([3, math.nan, math.nan], {"patience": 2}, 3),
        ([1, 2, 1.5, 1.6], {"patience": 2, "mode": "max"}, 4),
        ([1, 2, 3, 4, 5], {"patience": 0}, None),
    ],
)
def test_a_run_ends_after_evaluations_without_a_better_one(scores, settings, end):
    assert _ends_at(scores, **settings) == end


def test_a_run_gone_on_with_counts_on():
    settings = EarlyStoppingSettings(patience=2)
    first = EarlyStopping(settings, metric="loss", mode="min")
    for score in (1.0, 2.0):
        first.observe({"loss": score})
    second = EarlyStopping(settings, metric="loss", mode="min", saved=first.state)
    second.observe({"other": 0.0})
    assert not second.is_over
    second.observe({"loss": 1.5})
    assert second.is_over


def test_settings_that_cannot_work_are_told():
    with pytest.raises(UserError, match="name the metric"):
        EarlyStopping(EarlyStoppingSettings(patience=1), metric="", mode="min")
    for wrong in ({"patience": -1}, {"min_delta": -0.1}):
        with pytest.raises(UserError, match="0 or more"):
            EarlyStoppingSettings(**wrong)
