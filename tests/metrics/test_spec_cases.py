"""The published and recomputed cases of the specification, where they lie beside the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jaxllm.metrics import get_metric
from jaxllm.metrics.correlation import parse_float

_SPEC = Path(__file__).resolve().parents[2].parent / "shared" / "spec"
_FILE = Path(os.environ.get("JAXLLM_SPEC_DIR") or _SPEC) / "metric_cases.jsonl"

_METRICS = {
    "bleu_en": "bleu_compat_en",
    "bleu_en_proper_sentence_bleu_NOT_llm_jp_eval": "bleu_en",
    "bleu_ja": "bleu_compat_ja",
    "bleu_ja_proper_sentence_bleu_NOT_llm_jp_eval": "bleu_ja",
    "char_f1": "char_f1",
    "char_f1_dataset": "char_f1",
    "exact_match": "exact_match",
    "exact_match_figure": "exact_match_figure",
    "pearson": "pearson",
    "set_f1": "set_f1",
    "spearman": "spearman",
}
_ELSEWHERE = {
    "aggregate_AVG_v1.3": "tests/tasks",
    "aggregate_AVG_v1.4.1": "tests/tasks",
    "aggregate_v2.1.3": "tests/tasks",
    "bert_score_en_f1_dataset_anchor": "needs 1,010 published translations, which are not here",
    "bert_score_ja_f1_dataset_anchor": "needs 1,010 published translations, which are not here",
    "bleu_en_dataset_anchor": "needs 1,010 published translations, which are not here",
    "bleu_ja_dataset_anchor": "needs 1,010 published translations, which are not here",
    "comet_wmt22_dataset_anchor": "needs 1,010 published translations, which are not here",
    "dataset_dev_json_sha256": "tests/corpora",
    "dataset_train_test_json_sha256_derived": "tests/corpora",
    "extract_answer": "tests/text",
    "postprocess_swallow_fork": "tests/text",
    "postprocess_v1.0": "tests/text",
    "postprocess_v1.3.0": "tests/text",
    "prompt_v1.0": "tests/text",
    "prompt_v1.3_to_v1.4": "tests/text",
    "prompt_v2_ja": "tests/text",
}


def _cases() -> list[dict]:
    if not _FILE.exists():
        return []
    return [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def spec_cases() -> list[dict]:
    cases = _cases()
    if not cases:
        pytest.skip(f"no file {_FILE}; set JAXLLM_SPEC_DIR")
    return cases


def test_every_kind_of_case_is_checked_here_or_said_to_be_elsewhere(spec_cases):
    unknown = {case["metric"] for case in spec_cases} - _METRICS.keys() - _ELSEWHERE.keys()
    assert unknown == {"parse_float"}


@pytest.mark.parametrize("name", sorted(_METRICS))
def test_metric_gives_the_expected_score(spec_cases, name):
    metric = get_metric(_METRICS[name])
    cases = [case for case in spec_cases if case["metric"] == name]
    assert cases
    for case in cases:
        inputs = case["inputs"]
        predictions = inputs.get("preds", [inputs.get("pred")])
        references = inputs.get("golds", [inputs.get("gold")])
        expected = pytest.approx(case["expected"], abs=1e-12)
        assert metric(predictions, references).mean == expected, inputs


def test_parse_float_gives_the_expected_number(spec_cases):
    cases = [case for case in spec_cases if case["metric"] == "parse_float"]
    assert cases
    for case in cases:
        assert parse_float(case["inputs"]["text"]) == case["expected"]
