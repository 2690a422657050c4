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


def test_an_unknown_name():
    with pytest.raises(UserError, match=r"v1\.0, v1\.3, strip"):
        extract("v9", "x")
