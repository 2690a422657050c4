"""BLEU by sacrebleu, for Japanese (MeCab with the IPA dictionary) and English (13a tokens).

`bleu_*` is the mean over samples of sentence BLEU (effective n-gram order, exponential smoothing),
which can be shown, paired and given an interval sample by sample; `corpus_bleu_*` is the single
BLEU of all samples together, as the sacrebleu command computes it. Both after NFKC, and from 0 to
100 as everywhere. The numbers llm-jp-eval publishes under the name BLEU are something else: see
bleu_compat.py.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

from jaxllm.metrics.mecab import ja_mecab
from jaxllm.metrics.scores import Scores, normalise, score_each

_MAXIMUM = 100.0


def bleu_ja(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean sentence BLEU of Japanese text, 0-100; tokens by MeCab with the IPA dictionary."""
    return _sentence_bleu("ja", predictions, references)


def bleu_en(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean sentence BLEU of English text, 0-100; sacrebleu's 13a tokens, case counts."""
    return _sentence_bleu("en", predictions, references)


def corpus_bleu_ja(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """BLEU of all Japanese samples together, 0-100; tokens by MeCab with the IPA dictionary."""
    return _corpus_bleu("ja", predictions, references)


def corpus_bleu_en(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """BLEU of all English samples together, 0-100; sacrebleu's 13a tokens, case counts."""
    return _corpus_bleu("en", predictions, references)


@functools.cache
def sacrebleu_for(language: str, *, effective_order: bool) -> BLEU:
    """The one BLEU object of a language ("ja", "en").

    Each new one for Japanese loads MeCab's dictionary and never gives it back; sacrebleu's
    `sentence_bleu` makes one a call.
    """
    bleu = BLEU(trg_lang=language, effective_order=effective_order)
    if language == "ja":
        bleu.tokenizer = ja_mecab()
    return bleu


def _sentence_bleu(language: str, predictions: Sequence[str], references: Sequence[str]) -> Scores:
    bleu = sacrebleu_for(language, effective_order=True)

    def score(prediction: str, reference: str) -> float:
        # Rounding error makes a perfect match 100.00000000000004, which is no score of this scale.
        return min(bleu.sentence_score(prediction, [reference]).score, _MAXIMUM)

    return score_each(score, predictions, references, maximum=_MAXIMUM)


def _corpus_bleu(language: str, predictions: Sequence[str], references: Sequence[str]) -> Scores:
    bleu = sacrebleu_for(language, effective_order=False)
    hypotheses = [normalise(text) for text in predictions]
    score = bleu.corpus_score(hypotheses, [[normalise(text) for text in references]]).score
    return Scores(mean=min(score, _MAXIMUM), per_sample=None, maximum=_MAXIMUM)
