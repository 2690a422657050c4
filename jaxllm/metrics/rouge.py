"""ROUGE-1, ROUGE-2 and ROUGE-L of Japanese text (Lin 2004, https://aclanthology.org/W04-1013).

The numbers are those of Google's rouge-score with sacrebleu's ja-mecab tokens, as llm-jp-eval has
it: F-measures, no stemming, case counts. rouge-score itself takes a hundred times as long to find
longest common subsequences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rapidfuzz.distance import LCSseq

from jaxllm.metrics.mecab import ja_mecab
from jaxllm.metrics.scores import Scores, score_each


def rouge1(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean over samples of the F-measure of single words, 0-1."""
    return _mean_of(_ngram_f1(1), predictions, references)


def rouge2(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean over samples of the F-measure of pairs of neighbouring words, 0-1."""
    return _mean_of(_ngram_f1(2), predictions, references)


def rouge2_scaling(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """The same as rouge2, by the name that heads the SUM column of llm-jp-eval's tables."""
    return rouge2(predictions, references)


def rougeL(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean over samples of the F-measure of the longest common subsequence of words, 0-1."""
    return _mean_of(_lcs_f1, predictions, references)


def _mean_of(
    f1: Callable[[list[str], list[str]], float],
    predictions: Sequence[str],
    references: Sequence[str],
) -> Scores:
    words = ja_mecab()
    return score_each(
        lambda prediction, reference: f1(words(prediction).split(), words(reference).split()),
        predictions,
        references,
    )


def _ngram_f1(n: int) -> Callable[[list[str], list[str]], float]:
    def f1(prediction: list[str], reference: list[str]) -> float:
        predicted, expected = (
            Counter(zip(*(words[start:] for start in range(n)), strict=False))
            for words in (prediction, reference)
        )
        return _f1((predicted & expected).total(), predicted.total(), expected.total())

    return f1


def _lcs_f1(prediction: list[str], reference: list[str]) -> float:
    # rapidfuzz compares texts much faster than lists: a character stands for each word. They start
    # at U+10000, where no code point is a surrogate, and 1,048,576 words is more than answers have.
    ids: dict[str, int] = {}
    predicted, expected = (
        "".join(chr(0x10000 + ids.setdefault(word, len(ids))) for word in words)
        for words in (prediction, reference)
    )
    return _f1(LCSseq.similarity(predicted, expected), len(predicted), len(expected))


def _f1(shared: int, predicted: int, expected: int) -> float:
    if not shared:
        return 0.0
    precision, recall = shared / predicted, shared / expected
    return 2 * precision * recall / (precision + recall)
