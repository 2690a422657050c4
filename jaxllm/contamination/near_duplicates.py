"""Texts that are nearly the same: MinHash signatures and locality-sensitive hashing, by datasketch.

Similarity is Jaccard's, of the sets of character trigrams of two texts: a text in which every tenth
character is another one keeps 0.54 of it. Signatures (Broder 1997) find candidates; their
similarity is then computed from the trigrams themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from jaxllm.contamination.limits import SIMILAR_FROM
from jaxllm.contamination.ngrams import characters, distinct
from jaxllm.contamination.texts import is_form

_NUM_PERM = 128
# 42 bands of 3 values: two texts are compared with probability 1 - (1 - s^3)^42 at similarity s,
# which is 0.996 from 0.5 on, and 0.04 at 0.1.
_BANDS = (42, 3)
_LEAST_TRIGRAMS = 10  # a text with fewer of its own has none that are nearly the same
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = MinHash(num_perm=_NUM_PERM)


def trigrams(text: str) -> np.ndarray:
    """The different trigrams of a text, each as one number; uint64, sorted."""
    points = characters(text).astype(np.uint64)
    return distinct(points[:-2] << np.uint64(42) | points[1:-1] << np.uint64(21) | points[2:])


def own_trigrams(text: str, form: np.ndarray) -> np.ndarray:
    """The trigrams of a text without those of the `form`, sorted."""
    found = trigrams(text)
    if not len(form):
        return found
    return found[np.take(form, np.searchsorted(form, found), mode="clip") != found]


def form_trigrams(samples: Sequence[Sequence[str]]) -> np.ndarray:
    """The trigrams that are the form of a set, from the texts of its samples; sorted."""
    held = [distinct(np.concatenate([trigrams(text) for text in texts])) for texts in samples]
    found, counts = np.unique(np.concatenate(held), return_counts=True)
    return found[is_form(counts, len(samples))]


def signature(text: str, form: np.ndarray) -> np.ndarray | None:
    """The MinHash signature of a text, uint32 [128]; None where too few trigrams are its own."""
    own = own_trigrams(text, form)
    if len(own) < _LEAST_TRIGRAMS:
        return None
    sketch = _sketch()
    sketch.update_batch((own * _SPREAD >> np.uint64(32)).tolist())
    return sketch.hashvalues


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Jaccard's similarity of two sorted sets."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(len(one) + len(other) - shared, 1)


class NearDuplicates:
    """The texts that others are compared with."""

    def __init__(self, texts: Sequence[str], form: np.ndarray) -> None:
        self._form = form
        self._trigrams = [own_trigrams(text, form) for text in texts]
        self._index = MinHashLSH(num_perm=_NUM_PERM, params=_BANDS)
        for number, text in enumerate(texts):
            values = signature(text, form)
            if values is not None:
                self._index.insert(number, _sketch(values), check_duplication=False)

    def candidates(self, values: np.ndarray) -> list[int]:
        """The numbers of the texts that may be like the one with this signature."""
        return self._index.query(_sketch(values))

    def similar(self, text: str, candidates: Sequence[int]) -> list[tuple[int, float]]:
        """Those candidates that are like this text: number and similarity of each."""
        own = own_trigrams(text, self._form)
        found = [(number, similarity(own, self._trigrams[number])) for number in candidates]
        return [(number, alike) for number, alike in found if alike >= SIMILAR_FROM]


def _sketch(values: np.ndarray | None = None) -> MinHash:
    return MinHash(
        num_perm=_NUM_PERM,
        hashfunc=int,
        hashvalues=values,
        permutations=_EMPTY.permutations,
        scheme=_EMPTY.scheme,
    )
