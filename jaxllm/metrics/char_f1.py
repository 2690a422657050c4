"""char_f1: llm-jp-eval's character similarity, which despite its name is no F1.

Upstream it is fuzzywuzzy's `token_sort_ratio` with python-Levenshtein behind it; the steps below
give the same numbers, its quirks included: two answers of punctuation only are equal, and accented
Latin letters vanish.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import Indel

from jaxllm.metrics.scores import Scores, score_each

_LATIN_1_UPPER_HALF = re.compile("[\x80-\xff]")  # what fuzzywuzzy's force_ascii deletes
_NOT_A_WORD_CHARACTER = re.compile(r"\W")


def char_f1(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Similarity of the sorted words of each pair, 2 LCS(a, b) / (|a| + |b|), to two decimals."""
    return score_each(_token_sort_ratio, predictions, references)


def _token_sort_ratio(prediction: str, reference: str) -> float:
    a, b = _sorted_words(prediction), _sorted_words(reference)
    length = len(a) + len(b)
    if not length:
        return 1.0
    # In this order of operations and with Python's rounding (half to even), or ties such as 82.5
    # come out differently from upstream.
    similarity = (length - Indel.distance(a, b)) / length
    return round(100 * similarity) / 100


def _sorted_words(text: str) -> str:
    text = _LATIN_1_UPPER_HALF.sub("", text)
    return " ".join(sorted(_NOT_A_WORD_CHARACTER.sub(" ", text).lower().split()))
