"""Which samples n-grams belong to, and how much of each sample training examples hold.

Legend: S samples, U different n-grams, W n-grams as they stand, P pairs of an n-gram and a sample.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxllm.contamination.ngrams import NgramTable, Texts, distinct
from jaxllm.contamination.texts import is_form
from jaxllm.input.packing import ranges


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Overlaps:
    """What examples share with samples: pairs of an example and a sample, [pairs].

    `counts` are the sample's n-grams that the example holds; `ngrams` those that any of them holds.
    """

    ngrams: np.ndarray
    examples: np.ndarray
    samples: np.ndarray
    counts: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NgramIndex:
    """The n-grams of samples: of n-gram u, `samples_P[offsets[u] : offsets[u + 1]]` hold it.

    `totals_S` counts the different n-grams of each sample. N-grams that lie in the form of a set or
    reach into it are in neither: with most of a form a few symbols of anything else are shared.
    """

    table: NgramTable
    offsets: np.ndarray
    samples_P: np.ndarray
    totals_S: np.ndarray

    @staticmethod
    def of(texts: Texts, n: int, *, samples_T: np.ndarray, sets_S: np.ndarray) -> NgramIndex:
        """The index of the samples to which texts belong, and of their sets."""
        table, ngrams_W, starts_W, texts_W = NgramTable.of(texts, n)
        is_form_W = _is_form(ngrams_W, samples_T[texts_W], sets_S)
        if is_form_W.any():
            own_W = ~_touches(starts_W, table.lengths_U[ngrams_W], is_form_W)
            ngrams_W, texts_W = ngrams_W[own_W], texts_W[own_W]
        ngrams_P, samples_P = _unique_pairs(ngrams_W, samples_T[texts_W], len(sets_S))
        return NgramIndex(
            table=table,
            offsets=np.searchsorted(ngrams_P, np.arange(len(table.hashes_U) + 1)),
            samples_P=samples_P.astype(np.int32),
            totals_S=np.bincount(samples_P, minlength=len(sets_S)),
        )

    def overlaps(self, texts: Texts, examples_T: np.ndarray) -> Overlaps:
        """What the examples to which some texts belong share with the samples."""
        ngrams_H, texts_H = self.table.find(texts)
        num_examples = int(examples_T[-1]) + 1 if len(examples_T) else 0
        ngrams, examples = _unique_pairs(ngrams_H, examples_T[texts_H], num_examples)
        counts = np.diff(self.offsets)[ngrams] if len(ngrams) else np.zeros(0, np.int64)
        samples = self.samples_P[ranges(self.offsets[ngrams], counts)]
        pairs = np.repeat(examples, counts) * len(self.totals_S) + samples
        pairs, counts = np.unique(pairs, return_counts=True)
        return Overlaps(
            ngrams=distinct(ngrams),
            examples=pairs // len(self.totals_S),
            samples=pairs % len(self.totals_S),
            counts=counts,
        )

    def covered(self, ngrams: np.ndarray) -> np.ndarray:
        """The share of each sample's n-grams that is among these (bool [U]), float64 [S]."""
        held_P = np.repeat(ngrams, np.diff(self.offsets))
        counts_S = np.bincount(self.samples_P[held_P], minlength=len(self.totals_S))
        return counts_S / np.maximum(self.totals_S, 1)


def _is_form(ngrams_W: np.ndarray, samples_W: np.ndarray, sets_S: np.ndarray) -> np.ndarray:
    """Whether an n-gram is the form of the set to which the sample belongs, bool [W]."""
    sizes = np.bincount(sets_S)
    ngrams, samples = _unique_pairs(ngrams_W, samples_W, len(sets_S))
    in_sets, counts = np.unique(ngrams * len(sizes) + sets_S[samples], return_counts=True)
    forms = in_sets[is_form(counts, sizes[in_sets % len(sizes)])]
    return np.isin(ngrams_W * len(sizes) + sets_S[samples_W], forms)


def _touches(starts_W: np.ndarray, lengths_W: np.ndarray, chosen_W: np.ndarray) -> np.ndarray:
    """Whether the stretch of each n-gram has a symbol in common with a chosen one's, bool [W]."""
    ends_W = starts_W + lengths_W
    steps = np.zeros(ends_W.max(initial=0) + 1, dtype=np.int64)
    np.add.at(steps, starts_W[chosen_W], 1)
    np.add.at(steps, ends_W[chosen_W], -1)
    before = np.concatenate([[0], np.cumsum(np.cumsum(steps) > 0)])
    return before[ends_W] > before[starts_W]


def _unique_pairs(
    first: np.ndarray, second: np.ndarray, num_second: int
) -> tuple[np.ndarray, np.ndarray]:
    pairs = distinct(first * num_second + second)
    return pairs // max(num_second, 1), pairs % max(num_second, 1)
