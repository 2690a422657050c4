"""pearson and spearman: do predicted numbers rise and fall with the reference numbers?

Predictions are not normalised here: full-width digits are read as digits only after an extraction
rule that applies NFKC, as llm-jp-eval's do.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from scipy import stats

from jaxllm.errors import UserError
from jaxllm.metrics.scores import Scores

_UNREADABLE = -2.0


def pearson(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Pearson's correlation over all samples, -1 to 1; 0 where it is undefined."""
    return _correlation(stats.pearsonr, predictions, references)


def spearman(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Spearman's rank correlation over all samples, -1 to 1; 0 where it is undefined."""
    return _correlation(stats.spearmanr, predictions, references)


def parse_float(text: str) -> float:
    """The number llm-jp-eval reads in an answer: its ASCII digits and dots; -2.0 if that is none.

    A minus sign is dropped with everything else, so "-5" reads as 5.0.
    """
    try:
        return float(re.sub(r"[^0-9.]", "", text))
    except ValueError:
        return _UNREADABLE


def _correlation(
    statistic: Callable[..., Any], predictions: Sequence[str], references: Sequence[str]
) -> Scores:
    predicted = [parse_float(text) for text in predictions]
    expected = [_reference_number(index, text) for index, text in enumerate(references)]
    if len(expected) < 2:
        return Scores(mean=0.0, per_sample=None)
    with warnings.catch_warnings():
        # A model that always gives one number, or one of 400 digits, has no correlation: NaN by
        # scipy, 0 by llm-jp-eval.
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(statistic(expected, predicted).statistic)
    return Scores(mean=0.0 if math.isnan(value) else value, per_sample=None)


def _reference_number(index: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"reference {index} is {text!r}, and a correlation needs numbers as references;"
            " for text use exact_match or char_f1"
        ) from None
