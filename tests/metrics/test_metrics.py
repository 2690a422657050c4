from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from jaxllm.errors import UserError
from jaxllm.metrics import MissingMetric, get_metric, metric_names
from jaxllm.metrics.correlation import parse_float


@pytest.mark.parametrize(
    "metric, prediction, reference, score",
    [
        ("exact_match", "ＹＥＳ", "YES", 1.0),
        ("exact_match", "YES", "ＹＥＳ", 1.0),
        ("exact_match", "yes", "YES", 0.0),
        ("exact_match", "0 ", "0", 0.0),
        ("char_f1", "ダイハード", "ダイ・ハード", 0.91),
        ("char_f1", "Ｔokyo", "tokyo", 1.0),
        ("char_f1", "東京", "", 0.0),
        ("char_f1", "。", "、", 1.0),
        ("char_f1", "大阪 東京", "東京 大阪", 1.0),
        ("char_f1", "café", "caf", 1.0),
        # 82.5 % and 47.5 % of the characters: Python rounds half to even.
        ("char_f1", "a" * 33 + "b" * 7, "a" * 33 + "c" * 7, 0.82),
        ("char_f1", "a" * 19 + "b" * 21, "a" * 19 + "c" * 21, 0.48),
        ("set_f1", "a\na\nb", "a\nc", 0.5),
        ("set_f1", " a ", "a", 1.0),
        ("set_f1", "a", "a\na", 1.0),
        ("set_f1", "a\n", "a", 2 / 3),
        ("set_f1", "x", "a", 0.0),
        ("entity_labeling_acc", "東京,大阪,京都", "東京,大阪", 1.0),
        ("entity_labeling_acc", "東京", "東京,大阪", 0.5),
        ("exact_match_figure", "１２．０", "12", 1.0),
        ("exact_match_figure", "1,200", "1200", 0.0),
        ("exact_match_figure", "nan", "nan", 0.0),
        ("bleu_compat_en", "", "text", 0.0),
        ("bleu_compat_en", "text", " ", 0.0),
        ("bleu_compat_en", "A cat sat.", "The cat sat.", 0.0),
        ("bleu_compat_ja", "今日は良い天気です。", "今日はいい天気です。", 0.9),
        ("bleu_ja", "猫が好きです。", "猫が好きです。", 1.0),
        ("bleu_ja", "", "猫が好きです。", 0.0),
        ("bleu_en", "The cat is on a mat.", "The cat sat on the mat.", 0.1964073254502566),
        ("chrf", "The cat sat.", "The cat sat.", 1.0),
        ("chrf", "", "The cat sat.", 0.0),
    ],
)
def test_score_of_one_pair(metric, prediction, reference, score):
    scores = get_metric(metric)([prediction], [reference])
    assert scores.per_sample == (pytest.approx(score, abs=1e-12),)


@pytest.mark.parametrize("name", metric_names())
def test_mean_is_that_of_the_samples_and_on_a_scale_to_one(name):
    scores = get_metric(name)(["1", "2.5", "5"], ["1", "2", "7"])
    if scores.per_sample is not None:
        assert scores.mean == pytest.approx(statistics.mean(scores.per_sample))
    assert 0 <= scores.mean <= 1


@given(st.lists(st.text(alphabet="ab cd", max_size=12), min_size=2, max_size=2))
def test_char_f1_is_rapidfuzz_token_sort_ratio_on_plain_letters(texts):
    prediction, reference = (" ".join(text.split()) for text in texts)
    if prediction and reference:
        expected = round(fuzz.token_sort_ratio(prediction, reference)) / 100
        assert get_metric("char_f1")([prediction], [reference]).mean == expected


@pytest.mark.parametrize("name, language", [("ja", "ja-mecab"), ("en", "13a")])
def test_corpus_bleu_is_what_sacrebleu_computes(name, language):
    texts = {
        "ja": (
            ["猫が窓のそばで眠っている。", "彼は毎朝走る。"],
            ["猫は窓のそばで眠っている。", "彼は毎朝走ります。"],
        ),
        "en": (["the cat sat on the mat", "he runs"], ["the cat sat on a mat", "he is running"]),
    }[name]
    expected = sacrebleu.corpus_bleu(texts[0], [texts[1]], tokenize=language).score / 100
    scores = get_metric(f"corpus_bleu_{name}")(*texts)
    assert scores.mean == pytest.approx(expected)
    assert 0.1 < scores.mean < 1
    assert scores.per_sample is None


def test_japanese_words_matter_to_bleu_not_characters():
    # Without MeCab the sentence is one token and scores 0.
    score = get_metric("bleu_ja")(["私は猫が好きです。"], ["猫が好きです。"]).mean
    assert score == pytest.approx(0.6147881529512643)


def test_correlations_find_order_and_are_zero_where_undefined():
    numbers, squares = ["1", "2", "3", "4"], ["1", "4", "9", "16"]
    assert get_metric("spearman")(squares, numbers).mean == pytest.approx(1.0)
    assert get_metric("pearson")(squares, numbers).mean == pytest.approx(0.9843740386976972)
    assert get_metric("pearson")(["3"] * 4, numbers).mean == 0.0
    assert get_metric("spearman")(["3"], ["1"]).mean == 0.0


def test_correlation_with_references_that_are_no_numbers_is_the_users_error():
    with pytest.raises(UserError, match=r"reference 1 is '猫'"):
        get_metric("pearson")(["1", "2"], ["1", "猫"])


@pytest.mark.parametrize(
    "text, number", [("4.0点", 4.0), ("-5", 5.0), ("1.2.3", -2.0), ("", -2.0), ("３", -2.0)]
)
def test_parse_float_keeps_digits_and_dots_only(text, number):
    assert parse_float(text) == number


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'char_f1'"):
        get_metric("char_f2")


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "MeCab" else find_spec(name)
    )
    with pytest.raises(MissingMetric, match=r"MeCab.*sacrebleu\[ja\]"):
        get_metric("bleu_ja")
    assert get_metric("bleu_en")(["a"], ["a"]).mean == 1.0


@pytest.mark.parametrize("pairs", [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_lists_that_do_not_pair_up_are_refused(pairs):
    with pytest.raises(ValueError, match="as many predictions as references"):
        get_metric("exact_match")(*pairs)


def test_metrics_import_no_jax():
    code = (
        "import sys; from jaxllm.metrics import *; [get_metric(n)(['1', '2'], ['1', '3'])"
        " for n in metric_names()]; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
