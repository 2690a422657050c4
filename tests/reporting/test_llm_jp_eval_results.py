"""llm-jp-eval's result files, against ones made by hand, and read back."""

from __future__ import annotations

import json

import pytest

from jaxllm.reporting.llm_jp_eval_outputs import read_outputs
from jaxllm.reporting.llm_jp_eval_results import dataset_name, write_llm_jp_eval
from jaxllm.reporting.results import write_result
from jaxllm.tasks import Suite, get_task, registry

_SUITE = Suite(
    name="hand/v1",
    tasks=(get_task("mini/v1:nli"), get_task("llm-jp-eval/v1.3.1:alt-e-to-j")),
    categories=("NLI", "MT"),
    parts={"JA": frozenset({"mini/v1:nli"})},
)


@pytest.fixture
def result(tmp_path, monkeypatch):
    """Two tasks: one of two samples, and a translation whose headline cannot be computed."""
    monkeypatch.setitem(registry._SUITES, "hand/v1", _SUITE)

    def sample(index, prediction, gold):
        return {
            "id": f"n{index}",
            "prompt": f"<s>### 入力:\n前提：{index}\n\n### 応答:\n",
            "input": f"前提：{index}",
            "output": f"{prediction}\n\nおわり",
            "prediction": prediction,
            "gold": gold,
            "scores": {"exact_match": float(prediction == gold)},
            "finish_reason": "length",
        }

    task = {"num_shots": 4, "data_sha256": "a"}
    tasks = {
        "mini/v1:nli": {
            **task,
            "category": "NLI",
            "corpus": "mini/nli",
            "headline": "exact_match",
            "num_samples": 2,
            "metrics": {"exact_match": {"mean": 0.5, "interval": None, "maximum": 1.0}},
        },
        "llm-jp-eval/v1.3.1:alt-e-to-j": {
            **task,
            "category": "MT",
            "corpus": "alt-e-to-j",
            "headline": "comet_wmt22",
            "num_samples": 1,
            "metrics": {
                "comet_wmt22": {"missing": "no library"},
                "bleu_compat_ja": {"mean": 12.5, "interval": None, "maximum": 100.0},
                "bleu_ja": {"mean": 30.0, "interval": None, "maximum": 100.0},
            },
        },
    }
    record = {
        "suite": "hand/v1",
        "split": "dev",
        "max_samples": 100,
        "code_version": "9.9",
        "model": {"name": "small", "source": "org/small", "dtype": "bfloat16"},
        "run": {"kind": None, "step": None},
        "decode": {"temperature": 0.0, "top_p": 1.0, "seed": 0},
        "tasks": tasks,
        "categories": {"NLI": {"mean": 0.5, "interval": None}},
        "average": {
            "name": "AVR",
            "mean": 0.5,
            "interval": None,
            "missing": ["MT"],
            "missing_tasks": ["llm-jp-eval/v1.3.1:alt-e-to-j"],
        },
    }
    samples = {
        "mini/v1:nli": [sample(0, "はい", "はい"), sample(1, "はい ", "いいえ")],
        "llm-jp-eval/v1.3.1:alt-e-to-j": [sample(0, "猫", "犬") | {"scores": {}}],
    }
    return write_result(tmp_path / "evals/hand/final", record, samples)


_CONFIG = {
    "model": {"pretrained_model_name_or_path": "org/small"},
    "target_dataset": ["mini_nli", "alt-e-to-j"],
    "torch_dtype": "bfloat16",
    "metainfo": {
        "version": "hand/v1",
        "basemodel_name": "small",
        "data_type": "dev",
        "num_few_shots": 4,
        "max_num_samples": 100,
    },
    "generator": {"temperature": 0.0, "top_p": 1.0, "seed": 0},
    "jaxllm": {"code_version": "9.9"},
}


def test_the_shape_of_1_x(result):
    path = write_llm_jp_eval(result, "llm-jp-eval-v1")
    assert path == result.folder / "llm-jp-eval-v1.json"
    prompt = "<s>### 入力:\n{input}\n\n### 応答:\n"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        # No AVG where a category is missing, and llm-jp-eval's own BLEU under its own name.
        "scores": {
            "NLI": "0.5000",
            "mini_nli_exact_match": "0.5000",
            "alt-e-to-j_bleu_ja": "12.5000",
        },
        "outputs": {
            "mini_nli": [
                {"prompt": prompt, "input": "前提：0", "pred": "はい", "gold": "はい"},
                {"prompt": prompt, "input": "前提：1", "pred": "はい ", "gold": "いいえ"},
            ],
            "alt-e-to-j": [{"prompt": prompt, "input": "前提：0", "pred": "猫", "gold": "犬"}],
        },
        "config": _CONFIG,
    }


def test_the_shape_of_2_1(result):
    written = json.loads(write_llm_jp_eval(result, "llm-jp-eval-v2").read_text(encoding="utf-8"))
    assert list(written) == [
        "config",
        "metadata",
        "evaluation",
        "records",
        "scores",
        "lang_scores",
    ]
    assert written["config"] == _CONFIG
    assert written["metadata"] == {
        "model_name": "small",
        "generation_config": {"temperature": 0.0, "top_p": 1.0, "seed": 0},
    }
    assert written["scores"] == {
        "NLI": 0.5,
        "mini_nli_exact_match": 0.5,
        "alt-e-to-j_bleu_ja": 12.5,
    }
    assert written["lang_scores"] == {"JA": {"AVG": 0.5, "NLI": 0.5}}
    assert written["records"]["mini_nli"][0] == {
        "input": "前提：0",
        "output": "はい\n\nおわり",
        "pred": "はい",
        "true": "はい",
        "prompt": "<s>### 入力:\n前提：0\n\n### 応答:\n",
        "exact": 1.0,
        "char_f1": 1.0,
        "metadata": {"id": "n0", "finish_reason": "length"},
    }
    second = written["records"]["mini_nli"][1]
    assert (second["exact"], 0 <= second["char_f1"] < 1) == (0.0, True)


def test_a_whole_average_is_called_avg(result):
    average = {**result.record["average"], "missing": [], "missing_tasks": []}
    result.record["average"] = average
    written = json.loads(write_llm_jp_eval(result, "llm-jp-eval-v1").read_text(encoding="utf-8"))
    assert written["scores"]["AVG"] == "0.5000"
    assert written["config"]["target_dataset"] == "all"


@pytest.mark.parametrize("shape", ["llm-jp-eval-v1", "llm-jp-eval-v2"])
def test_what_is_written_is_read_back(result, shape):
    (run,) = read_outputs(write_llm_jp_eval(result, shape))
    assert (run.model, list(run.datasets)) == ("small", ["mini_nli", "alt-e-to-j"])
    nli = run.datasets["mini_nli"]
    assert nli.num_shots == 4
    assert [(answer.input, answer.gold) for answer in nli.answers] == [
        ("前提：0", "はい"),
        ("前提：1", "いいえ"),
    ]
    assert [answer.prompt for answer in nli.answers] == [
        f"<s>### 入力:\n前提：{index}\n\n### 応答:\n" for index in range(2)
    ]
    outputs = [answer.output for answer in nli.answers]
    extracted = shape == "llm-jp-eval-v1"
    assert outputs == (["はい", "はい "] if extracted else ["はい\n\nおわり", "はい \n\nおわり"])


def test_a_dataset_is_called_by_its_corpus():
    assert dataset_name({"corpus": "jamp"}) == "jamp"
    assert dataset_name({"corpus": "jsonl:gs://bucket/my.questions.jsonl"}) == "my.questions"
