"""chrF: F-score over character n-grams, by sacrebleu (Popović 2015, https://aclanthology.org/W15-3049)."""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics.chrf import CHRF

from jaxllm.metrics.scores import Scores, score_each


def chrf(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean sentence chrF2 over samples, 0-100: character n-grams up to 6, blanks ignored."""
    metric = CHRF()
    return score_each(
        lambda prediction, reference: metric.sentence_score(prediction, [reference]).score,
        predictions,
        references,
        maximum=100.0,
    )
