from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxllm.contamination import ngrams
from jaxllm.contamination.ngrams import NgramTable, Texts, characters

# Few different characters, so that long runs are shared by chance; one is beyond the BMP.
_TEXTS = st.lists(st.text("あい𠮟", max_size=14), min_size=1, max_size=6)


def _texts(texts: list[str]) -> Texts:
    return Texts.of([characters(text) for text in texts])


def _ngrams_of(text: str, n: int) -> set[str]:
    whole = {text} if text else set()
    return {text[start : start + n] for start in range(len(text) - n + 1)} or whole


def _shown(table: NgramTable, ngram: int) -> str:
    start = table.starts_U[ngram]
    symbols = table.symbols_N[start : start + table.lengths_U[ngram]]
    return symbols.astype("<u4").tobytes().decode("utf-32-le")


def _check(evaluated: list[str], trained: list[str], n: int) -> None:
    table, ngrams_W, starts_W, texts_W = NgramTable.of(_texts(evaluated), n)
    in_table = {(text, _shown(table, ngram)) for ngram, text in zip(ngrams_W, texts_W, strict=True)}
    assert in_table == {
        (number, ngram) for number, text in enumerate(evaluated) for ngram in _ngrams_of(text, n)
    }
    joined = "".join(evaluated)
    assert all(
        joined.startswith(_shown(table, ngram), start)
        for ngram, start in zip(ngrams_W, starts_W, strict=True)
    )
    ngrams_H, texts_H = table.find(_texts(trained))
    found = {(text, _shown(table, ngram)) for ngram, text in zip(ngrams_H, texts_H, strict=True)}
    known = {ngram for text in evaluated for ngram in _ngrams_of(text, n)}
    assert found == {
        (number, ngram)
        for number, text in enumerate(trained)
        for ngram in _ngrams_of(text, n) & known
    }


@given(evaluated=_TEXTS, trained=_TEXTS, n=st.integers(1, 8))
def test_an_ngram_is_found_exactly_where_it_is_shared(evaluated, trained, n):
    _check(evaluated, trained, n)


@pytest.mark.parametrize("n", [3, 30])
def test_long_texts(n):
    draw = np.random.default_rng(0)
    pool = ["".join(map(chr, draw.integers(0x3041, 0x3090, size=400))) for _ in range(20)]
    trained = ["".join(text[start : start + 60] for text in pool) for start in (0, 7, 200)]
    _check(pool, trained, n)


def test_texts_that_share_a_hash_are_told_apart(monkeypatch):
    def constant(symbols, starts, lengths):
        return np.full(len(starts), 5, dtype=np.uint64)

    monkeypatch.setattr(ngrams, "_hashes", constant)
    table, ngrams_W, _, texts_W = NgramTable.of(_texts(["あいう", "えおか", "あいう"]), 3)
    # The first is in the table; the other that has its hash cannot be.
    assert (ngrams_W.tolist(), texts_W.tolist()) == ([0, 0], [0, 2])
    _, texts_H = table.find(_texts(["えおか", "かきく", "あいう", "あい"]))
    assert texts_H.tolist() == [2]


def test_nothing_is_found_in_nothing():
    table, *_ = NgramTable.of(_texts(["", ""]), 3)
    assert [len(found) for found in table.find(_texts(["あいう"]))] == [0, 0]
    table, *_ = NgramTable.of(_texts(["あいう"]), 3)
    assert [len(found) for found in table.find(_texts([]))] == [0, 0]
    assert [len(found) for found in table.find(_texts([""]))] == [0, 0]
