"""BLEU by sacrebleu, for Japanese (MeCab with the IPA dictionary) and English (13a tokens).

`bleu_*` is the mean over samples of sentence BLEU (effective n-gram order, exponential smoothing),
which can be shown, paired and given an interval sample by sample; `corpus_bleu_*` is the single
BLEU of all samples together, as the sacrebleu command computes it. Both after NFKC and on a 0-1
scale. The numbers llm-jp-eval publishes under the name BLEU are something else: see bleu_compat.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

from jaxllm.metrics.scores import Scores, normalise, score_each


def bleu_ja(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean sentence BLEU of Japanese text, 0-1; tokens by MeCab with the IPA dictionary."""
    return _sentence_bleu(BLEU(trg_lang="ja", effective_order=True), predictions, references)


def bleu_en(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean sentence BLEU of English text, 0-1; sacrebleu's 13a tokens, case counts."""
    return _sentence_bleu(BLEU(trg_lang="en", effective_order=True), predictions, references)


def corpus_bleu_ja(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """BLEU of all Japanese samples together, 0-1; tokens by MeCab with the IPA dictionary."""
    return _corpus_bleu(BLEU(trg_lang="ja"), predictions, references)


def corpus_bleu_en(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """BLEU of all English samples together, 0-1; sacrebleu's 13a tokens, case counts."""
    return _corpus_bleu(BLEU(trg_lang="en"), predictions, references)


def _sentence_bleu(bleu: BLEU, predictions: Sequence[str], references: Sequence[str]) -> Scores:
    def score(prediction: str, reference: str) -> float:
        # Rounding error makes a perfect match 100.00000000000004, which is no score of a 0-1 scale.
        return min(bleu.sentence_score(prediction, [reference]).score / 100, 1.0)

    return score_each(score, predictions, references)


def _corpus_bleu(bleu: BLEU, predictions: Sequence[str], references: Sequence[str]) -> Scores:
    hypotheses = [normalise(text) for text in predictions]
    score = bleu.corpus_score(hypotheses, [[normalise(text) for text in references]]).score
    return Scores(mean=min(score / 100, 1.0), per_sample=None)
