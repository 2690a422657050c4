from __future__ import annotations

import numpy as np
import pytest

from jaxllm.contamination.texts import example_texts, is_form, normalised, sample_texts, words
from jaxllm.tasks import Sample
from jaxllm.text.example import example_from_record


@pytest.mark.parametrize(
    "text",
    [
        "ＡＢＣ社は3月に 発表した。",
        "ABC社は３月に発表した｡",
        "ABC社は3月に\n\u3000発表した。 ",
        "ABC社は3月に発表した。",
    ],
)
def test_width_and_blanks_make_no_difference(text):
    assert normalised(text) == "ABC社は3月に発表した。"


def test_blanks_stay_between_words_of_other_languages():
    assert normalised("  The quick,\n\tbrown  fox は\u3000犬 ") == "The quick,brown foxは犬"


def test_words_are_small_and_without_signs():
    assert words("The Quick, brown-fox!") == ["the", "quick", "brown", "fox"]
    assert words("「東京」は、日本の首都です。") == words("東京は日本の首都です")
    assert "".join(words("東京は日本の首都です")) == "東京は日本の首都です"


def test_of_a_sample_the_input_counts_and_a_long_answer():
    gold = "答" * 30
    assert sample_texts(Sample("0", (), "はい", "問い： Ａ")) == ["問い:A"]
    assert sample_texts(Sample("0", (), gold, "問い")) == ["問い", gold]
    assert sample_texts(Sample("0", (), gold[1:], "問い")) == ["問い"]


def test_of_an_example_all_that_is_said_counts_once():
    record = {"instruction": "訳せ", "input": "ｆｏｘ", "output": "狐"}
    assert example_texts(example_from_record(record, id="0")) == ["訳せ", "fox", "狐"]
    pair = {"prompt": "問い", "chosen": "はい", "rejected": "いいえ"}
    assert example_texts(example_from_record(pair, id="0")) == ["問い", "はい", "いいえ"]


def test_what_more_than_half_of_the_samples_hold_is_their_form():
    assert is_form(np.array([9, 10, 50, 51]), 100).tolist() == [False, False, False, True]
    assert is_form(np.array([9, 10]), 10).tolist() == [False, True]
    assert is_form(np.array([10, 10]), np.array([10, 1000])).tolist() == [True, False]
