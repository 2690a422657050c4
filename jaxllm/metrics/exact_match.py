"""exact_match: is the answer the reference, character for character?"""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics.scores import Scores, score_each


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Share of predictions equal to their reference after NFKC; blanks and case count."""
    return score_each(
        lambda prediction, reference: prediction == reference, predictions, references
    )
