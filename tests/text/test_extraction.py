from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.text.extraction import extract

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
        name = case["inputs"]["pattern_id"].removesuffix("_jp").removesuffix("_en")
        name = "v2" if name.startswith("custom") else name
        assert extract(name, case["inputs"]["generated"]) == case["expected"]


def test_an_unknown_name():
    with pytest.raises(UserError, match=r"v1\.0, v1\.3, strip"):
        extract("v9", "x")
