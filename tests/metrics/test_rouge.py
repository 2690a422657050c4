from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.tokenizers.tokenizer_ja_mecab import TokenizerJaMecab

from jaxllm.metrics import get_metric
from jaxllm.metrics.mecab import ja_mecab

_NAMES = ("rouge1", "rouge2", "rougeL")
_SACREBLEU = TokenizerJaMecab()


class _Words(Tokenizer):
    def tokenize(self, text: str) -> list[str]:
        return _SACREBLEU(text).split()


_GOOGLE = RougeScorer(list(_NAMES), tokenizer=_Words())


def _check(prediction: str, reference: str) -> None:
    expected = _GOOGLE.score(reference, prediction)
    for name in _NAMES:
        assert get_metric(name)([prediction], [reference]).mean == expected[name].fmeasure


# Few letters, so that words are shared, repeated and out of order.
@given(st.text("猫犬がはを走眠る。a ", max_size=60), st.text("猫犬がはを走眠る。a ", max_size=60))
def test_scores_are_those_of_the_rouge_score_library(prediction, reference):
    _check(prediction, reference)


@pytest.mark.parametrize(
    "prediction, reference",
    [
        ("", ""),
        ("猫", ""),
        ("猫が窓辺で眠っている。", "窓辺で猫がぐっすり眠っていた。"),
        ("日銀は金利を上げた。円は買われた。", "円が買われた。日銀は金利を据え置いた。" * 5),
        ("The cat sat.", "the cat sat"),
    ],
)
def test_scores_of_sentences_are_those_of_the_library(prediction, reference):
    _check(prediction, reference)


@given(st.text(max_size=300))
def test_words_are_those_of_sacrebleu(text):
    text = text.replace("\0", "").encode("utf-8", "ignore").decode()
    assert ja_mecab()(text).split() == _SACREBLEU(text).split()


@pytest.mark.parametrize("text", ["a", "1", "ア", "。", "漢", "あ", "😀", "e\u0301", "a ", "\0"])
def test_no_text_is_too_long_for_mecab(text):
    words = ja_mecab()(text * (100_000 // len(text)))
    assert words.replace(" ", "") == (text * (100_000 // len(text))).replace(" ", "").strip("\0")
