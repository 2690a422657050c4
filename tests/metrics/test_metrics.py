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
from jaxllm.metrics import MissingMetric, get_metric, metric_names, registry
from jaxllm.metrics.correlation import parse_float

# Metrics that can be computed on this machine.
_HERE = [name for name in metric_names() if not registry.why_missing(name)]


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
        ("bleu_compat_ja", "今日は良い天気です。", "今日はいい天気です。", 90.0),
        ("bleu_ja", "猫が好きです。", "猫が好きです。", 100.0),
        ("bleu_ja", "", "猫が好きです。", 0.0),
        ("bleu_en", "The cat is on a mat.", "The cat sat on the mat.", 19.64073254502566),
        ("chrf", "The cat sat.", "The cat sat.", 100.0),
        ("chrf", "", "The cat sat.", 0.0),
        ("rouge1", "猫が好き", "猫が嫌い", 2 / 3),
        ("rouge2", "猫が好き", "猫が嫌い", 0.5),
        ("rouge2_scaling", "猫が好き", "猫が嫌い", 0.5),
        ("rougeL", "犬が猫を", "猫が犬を", 0.5),
        ("rougeL", "", "", 0.0),
        ("json_validity", '{"a": [1, "b"]}', "", 1.0),
        ("json_validity", "9" * 5000, "", 1.0),
        ("json_validity", "[" * 100_000, "", 0.0),
        ("json_validity", "NaN", "", 0.0),
        ("json_validity", "{'a': 1}", "", 0.0),
        ("json_validity", "", "", 0.0),
        ("ool", "ｙｅｓ", "yes", 0.0),
        ("ool", "はい", "yes", 1.0),
    ],
)
def test_score_of_one_pair(metric, prediction, reference, score):
    scores = get_metric(metric)([prediction], [reference])
    assert scores.per_sample == (pytest.approx(score, abs=1e-12),)


@pytest.mark.parametrize("name", _HERE)
def test_mean_is_that_of_the_samples_and_at_most_the_maximum(name):
    scores = get_metric(name)(["1", "2.5", "5"], ["1", "2", "7"])
    if scores.per_sample is not None:
        assert scores.mean == pytest.approx(statistics.mean(scores.per_sample))
        assert max(scores.per_sample) <= scores.maximum
    assert 0 <= scores.mean <= scores.maximum
    assert scores.maximum == (100 if "bleu" in name or name == "chrf" else 1)


def test_a_metric_of_translations_asks_for_the_sources():
    metric = registry.get_metric("exact_match")
    assert metric(["a"], ["a"], sources=["b"], labels=["c"]).mean == 1.0
    assert registry.takes_sources("comet_wmt22")
    assert not registry.takes_sources("exact_match")


def test_out_of_label_counts_what_no_label_is():
    metric = get_metric("ool")
    answers, golds = ["yes", "no", "maybe", ""], ["yes", "no", "yes", "no"]
    assert metric(answers, golds).per_sample == (0, 0, 1, 1)
    assert metric(answers, golds, labels=["yes", "no", "maybe"]).mean == 0.25
    assert metric(answers, golds, labels=[]).per_sample == (0, 0, 0, 1)


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
    expected = sacrebleu.corpus_bleu(texts[0], [texts[1]], tokenize=language).score
    scores = get_metric(f"corpus_bleu_{name}")(*texts)
    assert scores.mean == pytest.approx(expected)
    assert 10 < scores.mean < 100
    assert scores.per_sample is None


def test_japanese_words_matter_to_bleu_not_characters():
    # Without MeCab the sentence is one token and scores 0.
    score = get_metric("bleu_ja")(["私は猫が好きです。"], ["猫が好きです。"]).mean
    assert score == pytest.approx(61.47881529512643)


def test_correlations_find_order_and_are_zero_where_undefined():
    numbers, squares = ["1", "2", "3", "4"], ["1", "4", "9", "16"]
    assert get_metric("spearman")(squares, numbers).mean == pytest.approx(1.0)
    assert get_metric("pearson")(squares, numbers).mean == pytest.approx(0.9843740386976972)
    assert get_metric("pearson")(["3"] * 4, numbers).mean == 0.0
    assert get_metric("spearman")(["3"], ["1"]).mean == 0.0
    assert get_metric("pearson")(["9" * 400, "1", "2", "3"], numbers).mean == 0.0


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
    assert get_metric("bleu_en")(["a"], ["a"]).mean == 100.0


@pytest.mark.parametrize("pairs", [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_lists_that_do_not_pair_up_are_refused(pairs):
    with pytest.raises(ValueError, match="as many predictions as references"):
        get_metric("exact_match")(*pairs)


def test_metrics_import_no_jax():
    code = (
        "import sys; from jaxllm.metrics import *; [get_metric(n)(['1', '2'], ['1', '3'])"
        f" for n in {_HERE}]; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
