"""The n-grams of evaluation texts in one table, and which of them other texts hold.

A text is a row of symbols: numbers of characters, or of words. Its n-grams are the runs of `n`
symbols in it; a text that is shorter is one n-gram as a whole, which only a whole text equals.

Rolling hashes modulo 2^64 (Karp & Rabin 1987), made of all texts at once from prefix sums, find
them; what they find is then compared symbol by symbol, so that a collision is never a hit.

Legend: N symbols of all texts end to end, T texts, W n-grams as they stand, U different n-grams,
H hits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxllm.input.packing import ranges

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
# So that of n-grams that are not in the table one in 16, at most, has to be looked up.
_BUCKETS_PER_NGRAM = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Texts end to end: their `symbols_N`, uint32, and `offsets`, int64 [T + 1], of each."""

    symbols_N: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def of(texts: Sequence[np.ndarray]) -> Texts:
        """Texts from the symbols of each."""
        lengths = [len(text) for text in texts]
        return Texts(
            symbols_N=np.concatenate([np.zeros(0, np.uint32), *texts]).astype(np.uint32),
            offsets=np.cumsum([0, *lengths], dtype=np.int64),
        )


def characters(text: str) -> np.ndarray:
    """The code points of a text, uint32."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def distinct(numbers: np.ndarray) -> np.ndarray:
    """The different ones of some numbers, sorted.

    `np.unique` does the same by hashing, which takes ten times as long for millions of them.
    """
    numbers = np.sort(numbers)
    return numbers[np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NgramTable:
    """Different n-grams of some texts by the sorted hash of each, uint64 `hashes_U`.

    N-gram u is the `lengths_U[u]` symbols from `starts_U[u]` of `symbols_N`. `seen` has a bit for
    each bucket of hashes, set where there is one: most n-grams of other texts end there.
    """

    n: int
    symbols_N: np.ndarray
    hashes_U: np.ndarray
    starts_U: np.ndarray
    lengths_U: np.ndarray
    seen: np.ndarray

    @staticmethod
    def of(texts: Texts, n: int) -> tuple[NgramTable, np.ndarray, np.ndarray, np.ndarray]:
        """The table of the n-grams of some texts, and all places where they stand.

        Returns the table; which n-grams stand there, `ngrams_W`; the symbols with which they start,
        `starts_W`; and the texts in which they do, `texts_W`.
        """
        starts_W, lengths_W, texts_W = _places(texts.offsets, n)
        hashes_W = _hashes(texts.symbols_N, starts_W, lengths_W)
        hashes_U, first_U, ngrams_W = np.unique(hashes_W, return_index=True, return_inverse=True)
        num_bits = max(16, int(len(hashes_U) * _BUCKETS_PER_NGRAM).bit_length())
        seen = np.zeros(1 << num_bits, dtype=bool)
        seen[_buckets(hashes_U, num_bits)] = True
        table = NgramTable(
            n=n,
            symbols_N=texts.symbols_N,
            hashes_U=hashes_U,
            starts_U=starts_W[first_U],
            lengths_U=lengths_W[first_U],
            seen=np.packbits(seen),
        )
        # Of n-grams that share a hash the first is in the table, the others in none.
        is_first_W = table._is_at(ngrams_W, texts.symbols_N, starts_W, lengths_W)
        return table, ngrams_W[is_first_W], starts_W[is_first_W], texts_W[is_first_W]

    def find(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """The n-grams `ngrams_H` of the table that stand in some texts, and in which: `texts_H`."""
        starts_W, lengths_W, texts_W = _places(texts.offsets, self.n)
        hashes_W = _hashes(texts.symbols_N, starts_W, lengths_W)
        buckets_W = _buckets(hashes_W, (8 * len(self.seen)).bit_length() - 1)
        bits_W = (buckets_W & np.uint64(7)).astype(np.uint8)
        seen_W = self.seen[buckets_W >> np.uint64(3)] << bits_W & np.uint8(128)
        places = np.flatnonzero(seen_W)
        if not len(places):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        ngrams = np.searchsorted(self.hashes_U, hashes_W[places])
        ngrams = np.minimum(ngrams, len(self.hashes_U) - 1)
        has_hash = self.hashes_U[ngrams] == hashes_W[places]
        ngrams, places = ngrams[has_hash], places[has_hash]
        is_it = self._is_at(ngrams, texts.symbols_N, starts_W[places], lengths_W[places])
        return ngrams[is_it], texts_W[places[is_it]]

    def _is_at(
        self, ngrams: np.ndarray, symbols: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> np.ndarray:
        """Whether n-grams of the table are what stands at places of other symbols, bool."""
        own_starts = self.starts_U[ngrams]
        same = self.lengths_U[ngrams] == lengths
        for step in range(self.n):
            inside = step < lengths
            # A shorter text may be the last one: what is read past its end does not count.
            own = self.symbols_N[np.minimum(own_starts + step, len(self.symbols_N) - 1)]
            other = symbols[np.minimum(starts + step, len(symbols) - 1)]
            same &= ~inside | (own == other)
        return same


def _places(offsets: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the n-grams of texts stand: start (int64), length and text of each (int32), [W]."""
    sizes_T = np.diff(offsets)
    counts_T = np.where(sizes_T >= n, sizes_T - n + 1, np.minimum(sizes_T, 1))
    texts_W = np.repeat(np.arange(len(sizes_T), dtype=np.int32), counts_T)
    lengths_T = np.minimum(sizes_T, n).astype(np.int32)
    return ranges(offsets[:-1], counts_T), lengths_T[texts_W], texts_W


def _hashes(symbols_N: np.ndarray, starts_W: np.ndarray, lengths_W: np.ndarray) -> np.ndarray:
    """The hash of each n-gram, sum of symbol_i * base^i over its symbols modulo 2^64, uint64 [W].

    A difference of two prefix sums is the hash times base^start; the base is odd, so it can be
    divided out.
    """
    # The low bits of a product depend on low bits alone, so symbols are spread first.
    mixed_N = (symbols_N.astype(np.uint64) + np.uint64(1)) * _MIX
    mixed_N ^= mixed_N >> np.uint64(32)
    prefix = np.zeros(len(symbols_N) + 1, dtype=np.uint64)
    np.cumsum(mixed_N * _powers(_BASE, len(symbols_N)), out=prefix[1:])
    sums_W = prefix[starts_W + lengths_W] - prefix[starts_W]
    return sums_W * _powers(_INVERSE, len(symbols_N))[starts_W]


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, dtype=np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)


def _buckets(hashes: np.ndarray, num_bits: int) -> np.ndarray:
    return hashes >> np.uint64(64 - num_bits)
