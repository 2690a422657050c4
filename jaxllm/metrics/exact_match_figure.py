"""exact_match_figure: is the answer the reference, as a number?"""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics.scores import Scores, score_each


def exact_match_figure(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Share of predictions whose float value equals the reference's, with no tolerance.

    Text that Python's `float` refuses (`1,200`, `12個`, nothing) scores 0, and so does NaN.
    """
    return score_each(_same_number, predictions, references)


def _same_number(prediction: str, reference: str) -> bool:
    try:
        return float(prediction) == float(reference)
    except ValueError:
        return False
