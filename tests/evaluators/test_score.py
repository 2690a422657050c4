"""Likelihoods of answers, with a model that finds はい likely and nothing else."""

from __future__ import annotations

import json

import pytest
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, make_evaluators


@pytest.fixture
def context(tiny_config, tiny_tokenizer, tmp_path):
    return EvalContext(
        model_config=tiny_config.replace(max_positions=1024),
        tokenizer=tiny_tokenizer,
        mesh=None,
        data_dir=tmp_path,
        name="tiny",
        source="nowhere",
    )


@pytest.fixture
def task(tmp_path):
    """Three questions, two of them answered with はい."""
    path = tmp_path / "questions.jsonl"
    golds = ("はい", "いいえ", "はい")
    lines = [
        {"instruction": "答えなさい。", "input": f"質問{index}", "output": gold}
        for index, gold in enumerate(golds)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return f"jsonl:{path}"


def _make(context, task, **entry):
    entry = {"type": "score", "tasks": (task,), "template": "llm_jp_v1.3", "bos": "never", **entry}
    (item,) = make_evaluators(ConfigDict({"mine": entry}), context)
    return item


def _run(item, params, workdir):
    summary = item.run(params, step=None, tokens=None, workdir=workdir)
    folder = workdir / "evals/mine/final"
    (path,) = (folder / "samples").iterdir()
    lines = path.read_text(encoding="utf-8").split("\n")
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return summary, record, [json.loads(line) for line in lines if line]


def test_the_likeliest_choice_is_the_answer(context, task, yes_params, tmp_path):
    item = _make(context, task, choices=("いいえ", "はい"), kind="tuned")
    summary, record, samples = _run(item, yes_params, tmp_path)
    assert summary["choice_accuracy"] == pytest.approx(2 / 3)
    assert [sample["prediction"] for sample in samples] == ["はい"] * 3
    assert [sample["scores"]["choice_accuracy"] for sample in samples] == [1.0, 0.0, 1.0]
    assert [sample["scores"]["is_greedy"] for sample in samples] == [1.0, 0.0, 1.0]
    (entry,) = record["tasks"].values()
    assert entry["headline"] == "choice_accuracy"
    low, high = entry["metrics"]["choice_accuracy"]["interval"]
    assert low < 2 / 3 < high


def test_the_probability_of_the_right_answer(context, task, yes_params, tmp_path):
    summary, _, samples = _run(_make(context, task), yes_params, tmp_path)
    assert "choice_accuracy" not in summary
    values = [sample["scores"]["answer_probability"] for sample in samples]
    assert values[0] == values[2] > 0.9 > 0.1 > values[1] > 0
    assert summary["answer_probability"] == pytest.approx(sum(values) / 3)
    # はい and the end of the answer, as training has it.
    assert samples[0]["num_tokens"] == 3
    assert list(samples[0]["logprobs"]) == ["はい"]


def test_equal_likelihoods_do_not_favour_the_right_answer(context, task, yes_params, tmp_path):
    blind = {**yes_params, "head": {"kernel": 0 * yes_params["head"]["kernel"]}}
    item = _make(context, task, choices=("いい", "はい", "いいえ"))
    _, _, samples = _run(item, blind, tmp_path)
    shortest = max(samples[0]["logprobs"].values())
    ties = [name for name, value in samples[0]["logprobs"].items() if value == shortest]
    assert [sample["prediction"] for sample in samples] == ties[:1] * 3


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"tasks": ()}, "needs tasks"),
        ({"choices": ("はい",)}, "sample 2, 'いいえ', is not among the choices はい"),
        ({"choice": ("はい",)}, "did you mean 'choices'"),
        ({"tasks": ("mini/v1:nil",)}, "mini/v1:nli"),
    ],
)
def test_what_cannot_be_scored_is_named(context, task, entry, named):
    with pytest.raises(UserError, match=named):
        _make(context, task, **entry)
