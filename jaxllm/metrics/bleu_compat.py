"""The number llm-jp-eval (1.3 to 2.0) publishes as BLEU, for comparison with its tables only.

It hands sacrebleu strings where lists of sentences belong. Every character thus becomes a
"sentence", compared with the reference's character at the same position, so the score falls to
almost nothing as soon as one character is inserted. bleu.py holds the real BLEU.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics.bleu import sacrebleu_for
from jaxllm.metrics.scores import Scores, score_each

_MAXIMUM = 100.0


def bleu_compat_ja(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean of llm-jp-eval's `bleu_ja` over samples, 0-100 as it prints it."""
    return _bleu_of_characters("ja", predictions, references)


def bleu_compat_en(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean of llm-jp-eval's `bleu_en` over samples, 0-100 as it prints it."""
    return _bleu_of_characters("en", predictions, references)


def _bleu_of_characters(
    language: str, predictions: Sequence[str], references: Sequence[str]
) -> Scores:
    bleu = sacrebleu_for(language, effective_order=True)

    def score(prediction: str, reference: str) -> float:
        hypothesis, target = prediction.strip(), reference.strip()
        if not hypothesis or not target:  # 0 since llm-jp-eval 1.3.1; 1.3.0 stopped with an error
            return 0.0
        return min(bleu.corpus_score(list(hypothesis), [list(target)]).score, _MAXIMUM)

    return score_each(score, predictions, references, maximum=_MAXIMUM)
