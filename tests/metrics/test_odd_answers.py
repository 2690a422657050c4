"""Rules restated naively and held against random text; long, empty and broken answers."""

from __future__ import annotations

import time

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxllm.metrics import get_metric, metric_names, registry
from jaxllm.metrics.scores import normalise

_PROCESSES = {"code_exec", "pylint_check", "mathematical_equivalence"}  # one or more an answer
_CORRELATIONS = {"pearson", "spearman"}
_OF_TEXT = [
    name
    for name in metric_names()
    if name not in _PROCESSES | _CORRELATIONS and not registry.why_missing(name)
]
_ODD = st.text(
    st.one_of(
        st.characters(),  # lone surrogates, controls and unassigned ones among them
        st.sampled_from("éÿ\u0301\u200b\u2028\ufeffＡ１ﾊﾟ㌔İßaA_. \n\t、。・東京"),
    ),
    max_size=40,
)


def _longest_common_subsequence(a: str, b: str) -> int:
    lengths = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for index, y in enumerate(b, start=1):
            here = lengths[index]
            lengths[index] = before + 1 if x == y else max(here, lengths[index - 1])
            before = here
    return lengths[-1]


def _token_sort_ratio(prediction: str, reference: str) -> float:
    """fuzzywuzzy's documented steps, one character at a time."""
    cleaned = []
    for text in (prediction, reference):
        ascii_forced = "".join(c for c in normalise(text) if not 0x80 <= ord(c) <= 0xFF)
        words = "".join(c if c.isalnum() or c == "_" else " " for c in ascii_forced)
        cleaned.append(" ".join(sorted(words.lower().split())))
    a, b = cleaned
    if not a + b:
        return 1.0
    return round(100 * (2 * _longest_common_subsequence(a, b) / (len(a) + len(b)))) / 100


@given(_ODD, _ODD)
@settings(max_examples=300)
def test_char_f1_is_fuzzywuzzys_rule(prediction, reference):
    score = get_metric("char_f1")([prediction], [reference]).mean
    assert score == _token_sort_ratio(prediction, reference)


_LINES = st.lists(st.sampled_from(["a", "b", "c", " a", "a ", "", "東京 地名"]), max_size=6)


@given(_LINES, _LINES)
def test_set_f1_is_the_harmonic_mean_over_lines(predicted_lines, expected_lines):
    predicted = {line.strip() for line in "\n".join(predicted_lines).split("\n")}
    expected = [line.strip() for line in "\n".join(expected_lines).split("\n")]
    precision = sum(line in expected for line in predicted) / len(predicted)
    recall = sum(line in predicted for line in expected) / len(expected)
    both = precision + recall
    score = get_metric("set_f1")(["\n".join(predicted_lines)], ["\n".join(expected_lines)]).mean
    assert score == (2 * precision * recall / both if both else 0.0)


@pytest.mark.parametrize("name", _OF_TEXT)
@given(prediction=_ODD, reference=_ODD)
@settings(max_examples=30)
def test_no_text_is_too_odd(name, prediction, reference):
    scores = get_metric(name)([prediction, reference], [reference, reference])
    assert 0 <= scores.mean <= scores.maximum
    if scores.per_sample is not None and name not in ("json_validity", "ool"):
        assert scores.per_sample[1] >= scores.per_sample[0]  # nothing is nearer than the same


@pytest.mark.parametrize(
    "prediction, reference",
    [
        ("あ、い。漢字" * 17_000, "い、あ。漢字" * 17_000),
        ("a" * 100_000, "b" * 100_000),
        ("１" * 100_000, "あ" * 100_000),
        ("a\n" * 50_000, "\n".join(map(str, range(17_000)))),
        (",".join(map(str, range(17_000))), ",".join(map(str, range(17_000, 0, -1)))),
    ],
    ids=["japanese", "letters", "digits", "lines", "items"],
)
def test_answers_of_100_000_characters_take_seconds_at_most(prediction, reference):
    for name in _OF_TEXT:
        started = time.monotonic()
        scores = get_metric(name)([prediction, ""], [reference, reference])
        assert 0 <= scores.mean <= scores.maximum
        assert time.monotonic() - started < 20, name


def test_bleu_of_japanese_does_not_fill_the_memory():
    metric = get_metric("bleu_ja")
    metric(["猫"], ["犬"])
    before = psutil.Process().memory_info().rss
    for index in range(3000):
        metric([f"猫が{index}匹いる。"], [f"犬が{index}匹いた。"])
        get_metric("bleu_compat_ja")(["猫"], ["犬"])
    # sacrebleu.sentence_bleu(tokenize="ja-mecab") would have taken 13 GB by now.
    assert psutil.Process().memory_info().rss - before < 40 * 2**20
