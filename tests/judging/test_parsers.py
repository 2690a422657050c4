"""What judges write, and what is read out of it by ours and by the tools that presets reproduce."""

from __future__ import annotations

import math

import pytest

from jaxllm.errors import UserError
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.parsers import ExpectedScore, JsonParser, NoScore, RegexParser
from jaxllm.judging.presets import with_preset


def _read(name, text, preset=""):
    rubric = with_preset(get_benchmark(name), preset).rubrics[0]
    try:
        return list(rubric.parser.parse(text, rubric.scales).values())
    except NoScore:
        return None


@pytest.mark.parametrize(
    "text, ours, fastchat, llm_jp",
    [
        ("Rating: [[7]]", [7], [7], [7]),
        ("Rating: [[10]]", [10], [10], [10]),
        ("評価：[[ 8 ]]", [8], None, None),
        ("評価：［［８］］", [8], None, None),
        ("Rating: [[7.5]]", [7.5], [7.5], None),
        ("One would say [[5]], but no: Rating: [[2]]", [2], [5], [5]),
        ("Rating: [[0]]", None, [0], None),
        ("Rating: [[11]]", None, [11], None),
        ("Rating: [[100]]", None, [100], None),
        ("Rating: [6]", None, [6], None),
        ("Rating: 6", None, None, None),
        ("Rating: [[rating]]", None, None, None),
        ("Rating: [[-1]]", None, None, None),
        ("", None, None, None),
        ("$ERROR$", None, None, None),
    ],
)
def test_mt_bench(text, ours, fastchat, llm_jp):
    assert _read("mt_bench_en", text) == ours
    assert _read("mt_bench_en", text, "fastchat") == fastchat
    for preset in ("llm-jp-judge-v1", "llm-jp-judge-v2-compat"):
        assert _read("mt_bench_en", text, preset) == llm_jp
        assert _read("mt_bench_ja", text, preset) == llm_jp


@pytest.mark.parametrize(
    "text, ours, llm_jp",
    [
        ("安全です。評価：[[5]]", [5], [5]),
        ("評価：[[0]]", None, [0]),
        ("評価：[[6]]", None, [6]),
        ("評価：[[9]]", None, [9]),
        ("例えば[[1]]のような違反はない。評価：[[4]]", [4], [1]),
        ("評価：[[10]]", None, None),
        ("評価：4", None, None),
    ],
)
def test_safety(text, ours, llm_jp):
    assert _read("safety_ja", text) == ours
    for preset in ("llm-jp-judge-v1", "llm-jp-judge-v2-compat"):
        assert _read("safety_ja", text, preset) == llm_jp


@pytest.mark.parametrize(
    "text, ours, llm_jp",
    [
        ("3", [3], [3]),
        ("２点", [2], None),
        ("2点\n", [2], [2]),
        ("採点基準の1つ目を満たさないため、\n2", [2], [1]),
        ("10点中の8点", None, [1]),
        ("2\n1", None, [2]),
        ("7", None, None),
    ],
)
def test_the_boundary_test_takes_a_digit_from_anywhere_but_ours_does_not(text, ours, llm_jp):
    assert _read("safety_boundary_ja", text) == ours
    assert _read("safety_boundary_ja", text, "llm-jp-judge-v2-compat") == llm_jp


def test_culture_and_refusal_keep_to_their_scales():
    assert _read("culture_ja", "評価：[[12]]") is None
    assert _read("culture_ja", "評価：[[12]]", "llm-jp-judge-v2-compat") == [12]
    assert _read("safety_borderline_ja", "評価：[[3]]") == [3]
    assert _read("safety_borderline_ja", "評価：[[4]]") is None


_FIVE = ("正確性", "流暢性", "詳細性", "関連性", "総合評価")


def _quality(*scores, colon=":", names=_FIVE):
    return "\n".join(
        f"{name}(評価理由): よい\n{name}{colon} [[{score}]]"
        for name, score in zip(names, scores, strict=True)
    )


def test_quality_reads_five_scores_the_overall_one_first():
    text = _quality(1, 2, 3, 4, 5)
    for preset in ("", "llm-jp-judge-v1", "llm-jp-judge-v2-compat"):
        rubric = with_preset(get_benchmark("quality_ja"), preset).rubrics[0]
        assert rubric.parser.parse(text, rubric.scales) == {
            "overall": 5,
            "factuality": 1,
            "fluency": 2,
            "detailedness": 3,
            "relevance": 4,
        }


def test_quality_with_one_missing_twice_or_off_the_scale():
    four = _quality(1, 2, 3, 4, names=_FIVE[:4])
    twice = _quality(1, 2, 3, 4, 5) + "\n総合評価: [[2]]"
    full_width = _quality(1, 2, 3, 4, 5, colon="：")
    beyond = _quality(1, 2, 3, 4, 6)
    assert [_read("quality_ja", text) for text in (four, beyond)] == [None, None]
    assert _read("quality_ja", twice) == [2, 1, 2, 3, 4]  # the last word counts
    assert _read("quality_ja", full_width) == [5, 1, 2, 3, 4]
    for text in (four, twice, full_width, beyond):
        assert _read("quality_ja", text, "llm-jp-judge-v1") is None


_SCALES = {"rating": (1.0, 10.0)}


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"explanation": "good", "rating": 8}', 8),
        ('Here it is:\n```json\n{"rating": 8}\n```', 8),
        ('{"rating": 8.0}', 8),
        ('{"rating": "8"}', None),
        ('{"rating": true}', None),
        ('{"rating": 0}', None),
        ('{"rating": NaN}', None),
        ('{"score": 8}', None),
        ('{"rating": 8', None),
        ("8", None),
        ("", None),
    ],
)
def test_json(text, expected):
    if expected is None:
        with pytest.raises(NoScore):
            JsonParser().parse(text, _SCALES)
    else:
        assert JsonParser().parse(text, _SCALES) == {"rating": expected}


def test_the_schema_allows_the_scale_alone():
    schema = JsonParser.schema({"a": (1.0, 3.0), "b": (0.0, 1.0)})
    assert schema["required"] == ["explanation", "a", "b"]
    assert schema["properties"]["a"] == {"type": "integer", "enum": [1, 2, 3]}
    assert schema["additionalProperties"] is False


def test_an_expected_score_is_the_mean_under_the_likelihoods():
    parser = ExpectedScore(form="Rating: [[{}]]")
    assert parser.choices({"rating": (1.0, 3.0)}) == (
        "Rating: [[1]]",
        "Rating: [[2]]",
        "Rating: [[3]]",
    )
    logprobs = [math.log(0.5) - 900, math.log(0.25) - 900, math.log(0.25) - 900]
    expected = parser.expected(logprobs, {"rating": (1.0, 3.0)})
    assert expected["rating"] == pytest.approx(0.5 * 1 + 0.25 * 2 + 0.25 * 3)


@pytest.mark.parametrize(
    "fields, part",
    [
        ({"pattern": "[["}, "no regular expression"),
        ({"pattern": "a"}, "a group in parentheses"),
        ({"pattern": "(a)", "labels": {"a": "b"}}, "one for the value"),
        ({"pattern": "(a)", "fallback": "b"}, "a group in parentheses"),
    ],
)
def test_patterns_that_cannot_work(fields, part):
    with pytest.raises(UserError, match=part):
        RegexParser(**fields)


def test_a_form_has_one_place_for_the_score():
    with pytest.raises(UserError, match="where the score stands"):
        ExpectedScore(form="Rating")
