"""Reading what llm-jp-eval leaves: its three forms, where numbers and names stand, and damage."""

from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.reporting.llm_jp_eval_outputs import ForeignAnswer, read_outputs

_SAMPLE = {
    "input": "質問：{a}は?",
    "prompt": "### 入力:\n質問：{a}は?\n\n### 応答:\n",
    "gold": "はい",
    "generated": "はい\n\n次",
}


def _generated(dataset="jamp", **changes):
    return {
        "target_dataset": dataset,
        "output_length": 3,
        "config": {"output_length_delta": 2, "metainfo": {"num_few_shots": 4}},
        "samples": [_SAMPLE, {**_SAMPLE, "gold": "いいえ"}],
        **changes,
    }


def _v1(**changes):
    pair = {"prompt": "### 入力:\n{input}\n", "input": "問", "pred": "はい", "gold": "はい"}
    config = {
        "model": {"pretrained_model_name_or_path": "llm-jp/llm-jp-3-1.8b"},
        "metainfo": {"num_few_shots": 0},
    }
    return {"scores": {}, "outputs": {"jamp": [pair], "niilc": [pair] * 2}, "config": config} | (
        changes
    )


def _write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return path


def test_generated_files_of_a_folder_are_one_run(tmp_path):
    for name in ("jamp", "niilc"):
        _write(tmp_path / f"{name}.eval-generated.json", _generated(name))
        _write(tmp_path / f"{name}.eval-prompt.json", {"target_dataset": name})
    _write(tmp_path / "_config.json", {"model": {"model": "org/big"}})
    (run,) = read_outputs(tmp_path)
    assert (run.model, run.source, list(run.datasets)) == ("org/big", tmp_path, ["jamp", "niilc"])
    jamp = run.datasets["jamp"]
    assert (jamp.num_shots, jamp.max_new_tokens, len(jamp.answers)) == (4, 5, 2)
    assert jamp.answers[0] == ForeignAnswer(
        input=_SAMPLE["input"], gold="はい", output="はい\n\n次", prompt=_SAMPLE["prompt"]
    )


def test_a_generated_file_alone_is_called_by_its_name(tmp_path):
    path = _write(tmp_path / "jamp.eval-generated.json", _generated(config={}))
    (run,) = read_outputs(path)
    assert (run.model, run.source) == ("jamp", path)
    assert run.datasets["jamp"].num_shots is None


def test_results_of_1_x_and_2_x_are_runs_by_themselves(tmp_path):
    _write(tmp_path / "a/one.json", _v1())
    record = {"input": "問", "output": "<answer>4</answer>", "pred": "4", "true": "4"}
    second = {
        "config": {"num_few_shots": 0},
        "metadata": {"model_name": "org/two", "generation_config": {}},
        "evaluation": {},
        "records": {"mawps": [record]},
        "scores": {},
        "lang_scores": {},
    }
    _write(tmp_path / "b/result.json", second)
    listed = [record | {"target_dataset": name} for name in ("mawps", "aio", "mawps")]
    _write(tmp_path / "c/result.json", {**second, "metadata": {}, "records": listed})
    # Neither a config nor a table is a result.
    _write(tmp_path / "c/settings.json", {"records_per_page": 3})
    _write(tmp_path / "c/table.json", [1, 2])
    one, two, three = read_outputs(tmp_path)
    assert (one.model, two.model, three.model) == ("llm-jp/llm-jp-3-1.8b", "org/two", "result")
    assert [len(one.datasets[name].answers) for name in ("jamp", "niilc")] == [1, 2]
    assert one.datasets["jamp"].answers[0].prompt == "### 入力:\n問\n"
    assert one.datasets["jamp"].num_shots == 0
    (answer,) = two.datasets["mawps"].answers
    assert (answer.output, answer.gold, answer.prompt) == ("<answer>4</answer>", "4", "")
    assert [len(dataset.answers) for dataset in three.datasets.values()] == [2, 1]
    assert len({run.sha256 for run in (one, two, three)}) == 3


@pytest.mark.parametrize(
    ("name", "data", "named"),
    [
        ("a.eval-generated.json", "[]", r"a\.eval-generated\.json holds \[\], not an object"),
        ("a.eval-generated.json", '{"samples": [', "a.eval-generated.json is not whole JSON"),
        ("a.eval-generated.json", {"samples": [_SAMPLE]}, "no field 'target_dataset'"),
        ("a.eval-generated.json", _generated(samples=[]), r"samples is \[\], not a list"),
        (
            "a.eval-generated.json",
            _generated(samples=[_SAMPLE, {"input": "問", "gold": "はい"}]),
            r"a\.eval-generated\.json: samples\[1\] has no field 'generated'",
        ),
        (
            "a.eval-generated.json",
            _generated(samples=[_SAMPLE | {"generated": None}]),
            r"samples\[0\]: generated is null, not a text",
        ),
        ("r.json", _v1(outputs=[]), "r.json: outputs is not an object"),
        ("r.json", _v1(outputs={"jamp": ["はい"]}), r'outputs\.jamp\[0\] is "はい", not an object'),
        (
            "r.json",
            _v1(outputs={"jamp": [{"input": "問", "pred": "はい"}]}),
            r"outputs\.jamp\[0\] has no field 'gold'",
        ),
        ("r.json", {"records": [{"input": "問"}]}, r"records\[0\] has no field 'target_dataset'"),
        ("r.json", {"records": {"jamp": {}}}, r"r\.json: records: jamp is \{\}, not a list"),
        ("r.json", {"scores": {}}, "r.json holds no outputs"),
    ],
)
def test_damage_is_told_by_file_and_field(tmp_path, name, data, named):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=named):
        read_outputs(path)


def test_a_dataset_that_stands_in_two_files_is_told(tmp_path):
    for name in ("a", "b"):
        _write(tmp_path / f"{name}.eval-generated.json", _generated("jamp"))
    with pytest.raises(UserError, match="target_dataset 'jamp' stands in another file too"):
        read_outputs(tmp_path)


def test_a_folder_without_outputs_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no outputs: give NAME"):
        read_outputs(tmp_path)
    with pytest.raises(UserError, match="there is no "):
        read_outputs(tmp_path / "absent")
