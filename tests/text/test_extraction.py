from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.text.answer_formats import get_answer_format
from jaxllm.text.extraction import extract, get_extraction

NAMES = {
    "postprocess_v1.0": "v1.0",
    "postprocess_v1.3.0": "v1.3",
    "postprocess_swallow_fork": "strip",
}


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("v1.0", "\nentailment", ""),
        ("v1.0", "ＹＥＳ\nだから", "YES"),
        ("v1.3", "entailment\n\n### 入力:\n", "entailment"),
        ("v1.3", "entailment\n", "entailment\n"),
        ("v1.3", "\n\nentailment", ""),
        ("v1.3", " １２．５ ", " 12.5 "),
        ("strip", "\nentailment\n\nx", "entailment"),
        ("strip", "\u3000ＹＥＳ ", "YES"),
        ("answer_tags", "考える。<answer> 東京\n大阪</answer><answer>京都</answer>", "東京\n大阪"),
        ("answer_tags", "東京", ""),
        ("choice_only", "A\nなぜなら", "A"),
        ("choice_only", "\nA", ""),
        ("json_output", '```json\n{"a": 1}\n```', '{"a": 1}'),
        ("code_output", "こう書く。\n```python\nx = 1\n```\n", "x = 1"),
        ("code_output", "x = 1", ""),
        ("v2", "訳文です。\n\n### 入力:", "訳文です。"),
        ("latex_boxed", r"よって \boxed{ \frac{1}{2} } で、\boxed{3} ではない。", r"\frac{1}{2}"),
        ("latex_boxed", r"\boxed{12", ""),
        ("latex_boxed", "12", ""),
        ("regex:答えは(.*?)。", "考える。\n答えは 東京。大阪。", "東京"),
        ("regex:(yes)|(no)", "no, yes", "no"),
        ("regex:(.*)", "一\n\n二\n", "一\n\n二"),
        ("regex:答えは(.*)", "東京", ""),
    ],
)
def test_answers_are_cut_out_as_llm_jp_eval_does(name, text, expected):
    assert extract(name, text) == expected


def test_the_stored_cases(spec_dir):
    lines = (spec_dir / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["metric"] in NAMES]
    assert len(cases) >= 11
    for case in cases:
        assert extract(NAMES[case["metric"]], case["inputs"]["generated"]) == case["expected"]


def test_the_stored_cases_of_answer_patterns(spec_dir):
    lines = (spec_dir / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["metric"] == "extract_answer"]
    assert len(cases) >= 5
    for case in cases:
        name = case["inputs"]["pattern_id"]
        name = "v2" if name.startswith("custom") else name
        assert extract(name, case["inputs"]["generated"]) == case["expected"]


TOLD = {
    "answer_tags_jp": "<answer></answer>タグで囲んで回答してください",
    "answer_tags_en": "Please answer within <answer></answer> tags",
    "choice_only_jp": "選択肢の番号または文字のみで回答してください",
    "choice_only_en": "Please answer with only the choice number or letter",
    "json_output_jp": "```json\n```のJSON形式で回答してください",
    "json_output_en": "Please answer in JSON format: ```json\n```",
    "code_output_jp": "```\n```のコードブロック形式で回答してください",
    "code_output_en": "Please answer in code block format: ```\n```",
}


@pytest.mark.parametrize("name", [*TOLD, "latex_boxed_jp", "latex_boxed_en"])
@pytest.mark.parametrize("answer", ["0", "東京\n{大阪}", "x = {1: 2}"])
def test_an_answer_in_the_form_that_the_model_is_told_is_found(name, answer):
    answer_format = get_answer_format(name)
    assert answer_format.told == TOLD.get(name, answer_format.told) != ""
    found = extract(name, answer_format.shown.format(answer))
    assert found == (answer.split("\n")[0] if name.startswith("choice_only") else answer)


@pytest.mark.parametrize("name", ["v1.3", "answer_tags", "v2", "regex:(.*)"])
def test_of_other_extractions_the_model_is_told_nothing(name):
    answer_format = get_answer_format(name)
    assert (answer_format.told, answer_format.shown.format("あ")) == ("", "あ")


def test_an_unknown_name():
    with pytest.raises(UserError, match=r"v1\.0, v1\.3, strip"):
        extract("v9", "x")
    with pytest.raises(UserError, match="no regular expression"):
        get_extraction("regex:(")
    with pytest.raises(UserError, match="around what is the answer"):
        get_extraction("regex:答え")
