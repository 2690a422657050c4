from __future__ import annotations

import random

import numpy as np
import pytest

from jaxllm.contamination.limits import SIMILAR_FROM
from jaxllm.contamination.near_duplicates import (
    NearDuplicates,
    form_trigrams,
    own_trigrams,
    signature,
    similarity,
    trigrams,
)

_NO_FORM = np.zeros(0, np.uint64)


def _text(seed: int, length: int = 80) -> str:
    draw = random.Random(seed)
    return "".join(chr(draw.randrange(0x4E00, 0x5200)) for _ in range(length))


def _edited(text: str, every: int) -> str:
    return "".join("々" if place % every == every - 1 else char for place, char in enumerate(text))


def _sets(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


def _found(near: NearDuplicates, text: str, form: np.ndarray = _NO_FORM) -> dict[int, float]:
    values = signature(text, form)
    return {} if values is None else dict(near.similar(text, near.candidates(values)))


def test_similarity_is_jaccards_of_trigrams():
    one, other = _text(0), _edited(_text(0), 7)
    expected = len(_sets(one) & _sets(other)) / len(_sets(one) | _sets(other))
    assert similarity(trigrams(one), trigrams(other)) == pytest.approx(expected)
    assert similarity(trigrams("𠮟られ"), trigrams("𠮟られ")) == 1
    assert similarity(trigrams("𠮟られ"), trigrams("叱られ")) == 0
    assert similarity(trigrams("ab"), trigrams("ab")) == 0


def test_texts_of_which_a_tenth_was_edited_are_found_and_no_others():
    texts = [_text(seed) for seed in range(300)]
    near = NearDuplicates(texts, _NO_FORM)
    for number, text in enumerate(texts):
        found = _found(near, _edited(text, 10))
        assert set(found) == {number}
        assert found[number] >= SIMILAR_FROM
    assert not any(_found(near, _text(seed)) for seed in range(1000, 1300))
    assert not any(_found(near, _edited(text, 4)) for text in texts)


def test_short_texts_have_no_near_duplicates():
    near = NearDuplicates(["今日は天気がよいです。", "今日は天気がとてもよいです。"], _NO_FORM)
    assert _found(near, "今日は天気がよいです。") == {}
    assert set(_found(near, "今日は天気がとてもよいです。")) == {1}


def test_the_form_of_a_set_makes_no_texts_alike():
    label = "次の文章をよく読み、後に続く質問に、一言で簡潔に答えてください。質問:"
    texts = [label + _text(seed, 12) for seed in range(50)]
    form = form_trigrams([[text] for text in texts])
    assert set(form.tolist()) == set(trigrams(label).tolist())
    other = label + _text(99, 12)
    assert _found(NearDuplicates(texts, _NO_FORM), other)
    assert not _found(NearDuplicates(texts, form), other, form)
    assert set(_found(NearDuplicates(texts, form), texts[7], form)) == {7}
    assert len(own_trigrams(label, form)) == 0
