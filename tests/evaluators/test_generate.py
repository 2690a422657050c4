"""From questions through answers to a result folder, with a model whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxllm import corpora
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, make_evaluators
from jaxllm.reporting.results import find_results
from jaxllm.tasks import Suite, get_suite, get_task, registry


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    corpora.prepare([task.corpus for task in get_suite("mini/v1").tasks], data_dir=folder)
    return folder


@pytest.fixture
def context(tiny_config, tiny_tokenizer, data_dir):
    # The suite's prompts are long in a tokenizer of 384 pieces.
    return EvalContext(
        model_config=tiny_config.replace(max_positions=2048),
        tokenizer=tiny_tokenizer,
        mesh=None,
        data_dir=data_dir,
        name="tiny",
        source="nowhere",
        config={"seed": 3},
    )


def _make(context, **entry):
    (item,) = make_evaluators(ConfigDict({"mine": {"type": "generate", **entry}}), context)
    return item


def _read(folder):
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    (path,) = (folder / "samples").iterdir()
    lines = path.read_text(encoding="utf-8").split("\n")
    return record, [json.loads(line) for line in lines if line]


def test_a_file_of_questions(context, yes_params, tiny_questions, tmp_path):
    item = _make(
        context,
        task=f"jsonl:{tiny_questions}",
        template="llm_jp_v1.3",
        bos="never",
        metrics=("exact_match", "char_f1"),
        max_new_tokens=16,
        max_samples=12,
        kind="tuned",
    )
    summary = item.run(yes_params, step=20, tokens=300, workdir=tmp_path)
    record, samples = _read(tmp_path / "evals/mine/000020")
    golds = [sample["gold"] for sample in samples]
    # Every third question has another answer than はい.
    assert golds.count("はい") == 8
    assert summary["exact_match"] == pytest.approx(8 / 12)
    assert {sample["prediction"] for sample in samples} == {"はい"}
    assert {sample["finish_reason"] for sample in samples} == {"eos"}
    assert {sample["num_tokens"] for sample in samples} == {3}
    scores = [sample["scores"]["exact_match"] for sample in samples]
    assert scores == [float(gold == "はい") for gold in golds]
    assert all(f"### 入力:\n{sample['input']}" in sample["prompt"] for sample in samples)
    assert len({sample["prompt_ids_sha256"] for sample in samples}) == 12
    assert len(record["model"]["weights_digest"]) == 64
    assert record["max_samples"] == 12
    assert record["run"] == {"kind": "tuned", "step": 20, "tokens": 300, "workdir": "nowhere"}
    assert record["model"]["tokenizer_digest"] == context.tokenizer.digest
    assert record["config"] == {"seed": 3}
    assert (record["average"], record["suite"]) == (None, None)
    (task,) = record["tasks"].values()
    low, high = task["metrics"]["exact_match"]["interval"]
    assert low < 8 / 12 < high
    assert (task["bos"], task["num_samples"], task["headline"]) == ("never", 12, "exact_match")


def test_every_field_of_a_task_can_be_set(context, yes_params, tiny_questions, tmp_path):
    item = _make(
        context,
        task=f"jsonl:{tiny_questions}",
        template="llm_jp_v1.3",
        instruction="答えなさい。",
        extraction="regex:(は)",
        stop=("い",),
        labels=("は", "いいえ"),
        category="QA",
        num_shots=1,
        shot_seed=3,
        max_samples=2,
    )
    item.run(yes_params, step=None, tokens=None, workdir=tmp_path)
    record, samples = _read(tmp_path / "evals/mine/final")
    assert [(sample["output"], sample["prediction"]) for sample in samples] == [("は", "は")] * 2
    assert {sample["finish_reason"] for sample in samples} == {"stop"}
    assert all("答えなさい。" in sample["prompt"] for sample in samples)
    (task,) = record["tasks"].values()
    assert {name: task[name] for name in ("instruction", "extraction", "stop", "category")} == {
        "instruction": "答えなさい。",
        "extraction": "regex:(は)",
        "stop": ["い"],
        "category": "QA",
    }
    assert (task["labels"], task["shot_seed"]) == (["は", "いいえ"], 3)


def test_runs_have_seeds_of_their_own(context, tiny_params, tiny_questions, tmp_path):
    asked = {
        "task": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "metrics": ("char_f1",),
        "max_new_tokens": 6,
        "max_samples": 5,
        "temperature": 1.0,
        "seed": 7,
    }
    for name, runs in (("three", 3), ("one", 1)):
        item = _make(context, **asked, num_runs=runs)
        item.run(tiny_params, step=None, tokens=None, workdir=tmp_path / name)
    record, samples = _read(tmp_path / "three/evals/mine/final")
    _, alone = _read(tmp_path / "one/evals/mine/final")
    # The first run is the one that a single run would have been.
    assert [sample["output"] for sample in samples] == [sample["output"] for sample in alone]
    assert "runs" not in alone[0]
    outputs = [[run["output"] for run in sample["runs"]] for sample in samples]
    assert all(len(set(texts)) == 3 for texts in outputs)
    for sample in samples:
        scores = [run["scores"]["char_f1"] for run in sample["runs"]]
        assert sample["scores"]["char_f1"] == pytest.approx(np.mean(scores))
    (task,) = record["tasks"].values()
    measured = task["metrics"]["char_f1"]
    assert measured["mean"] == pytest.approx(np.mean(measured["runs"]))
    assert measured["spread"] == pytest.approx(np.std(measured["runs"], ddof=1))
    assert (record["decode"]["num_runs"], task["num_samples"]) == (3, 5)


def test_the_same_again_asks_nothing(
    context, yes_params, tiny_params, tiny_questions, tmp_path, monkeypatch
):
    asked = {
        "task": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "max_new_tokens": 4,
        "max_samples": 5,
    }
    folder = tmp_path / "evals/mine/final"

    def run(params, **changes):
        item = _make(context, **(asked | changes))
        item.run(params, step=None, tokens=None, workdir=tmp_path)
        return json.loads((folder / "timings.json").read_text())["from_journal"]

    def files():
        return [path.read_bytes() for path in (folder / "result.json", *folder.glob("samples/*"))]

    assert run(yes_params) == 0
    before = files()
    with monkeypatch.context() as patch:
        patch.setattr("jaxllm.decode.engine.Generation", None)  # whoever asks the model fails
        assert run(yes_params) == 5
        assert files() == before
        # Only how answers are scored has changed.
        assert run(yes_params, metrics=("char_f1",), extraction="v1.0") == 5
    assert run(yes_params, max_samples=7) == 5
    assert run(yes_params, seed=1) == 0
    assert run(tiny_params, seed=1) == 0


def test_shots_stand_in_front_and_are_not_asked(context, yes_params, tiny_questions, tmp_path):
    item = _make(
        context,
        task=f"jsonl:{tiny_questions}",
        template="llm_jp_v1.3",
        num_shots=2,
        max_new_tokens=4,
        max_samples=3,
    )
    item.run(yes_params, step=None, tokens=None, workdir=tmp_path)
    record, samples = _read(tmp_path / "evals/mine/final")
    assert [sample["prompt"].count("### 応答:") for sample in samples] == [3, 3, 3]
    assert "猫猫猫2" in samples[0]["prompt"].split("### 入力:\n")[-1]
    (task,) = record["tasks"].values()
    assert task["num_shots"] == 2


def test_a_blanked_input_leaves_the_instruction(context, yes_params, tiny_questions, tmp_path):
    item = _make(
        context,
        task=f"jsonl:{tiny_questions}",
        template="llm_jp_v1.3",
        max_new_tokens=4,
        max_samples=3,
        blank_inputs=True,
        kind="control",
    )
    item.run(yes_params, step=None, tokens=None, workdir=tmp_path)
    record, samples = _read(tmp_path / "evals/mine/final")
    assert record["blank_inputs"] is True
    assert len({sample["prompt"] for sample in samples}) == 1
    assert "猫" not in samples[0]["prompt"]
    assert "数えなさい" in samples[0]["prompt"]


def test_a_suite_has_categories_and_an_average(context, yes_params, tmp_path):
    item = _make(context, suite="mini/v1", split="dev", max_samples=2, max_new_tokens=2)
    summary = item.run(yes_params, step=None, tokens=None, workdir=tmp_path)
    folder = tmp_path / "evals/mine/final"
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    categories = list(get_suite("mini/v1").categories)
    missing = record["average"]["missing"]
    assert sorted([*record["categories"], *missing]) == sorted(categories)
    assert len(list((folder / "samples").iterdir())) == 9
    means = [entry["mean"] for entry in record["categories"].values()]
    name = "AVR(present)" if missing else "AVR"
    assert next(iter(summary)) == name
    assert summary[name] == pytest.approx(np.mean(means))


@pytest.mark.parametrize("kind", ["generate", "majority"])
def test_a_task_without_data_is_missing_with_its_reason(
    context, yes_params, tmp_path, capsys, kind
):
    suite = Suite(
        name="two/v1",
        tasks=(get_task("mini/v1:nli"), get_task("llm-jp-eval/v1.3.1:mawps")),
        categories=("NLI", "MR"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._SUITES, "two/v1", suite)
        entry = {"type": kind, "suite": "two/v1", "split": "dev", "max_samples": 2}
        (item,) = make_evaluators(ConfigDict({"mine": entry}), context)
        summary = item.run(yes_params, step=None, tokens=None, workdir=tmp_path)
    assert list(summary) == ["AVR(present)", "NLI"]
    assert "not asked: llm-jp-eval/v1.3.1:mawps: mawps is not prepared" in capsys.readouterr().err
    (result,) = find_results([tmp_path]).results
    record = result.record
    missing = record["tasks"]["llm-jp-eval/v1.3.1:mawps"]
    assert "not prepared" in missing["metrics"]["exact_match"]["missing"]
    assert missing["num_samples"] == 0
    assert record["average"]["missing"] == ["MR"]
    assert record["average"]["mean"] == record["categories"]["NLI"]["mean"]
    with pytest.raises(UserError, match="mawps is not prepared"):
        _make(context, task="llm-jp-eval/v1.3.1:mawps")


def test_the_commonest_answer_is_a_result_of_its_own(context, tmp_path):
    entry = {"type": "majority", "suite": "mini/v1", "split": "dev", "max_samples": 20}
    (item,) = make_evaluators(ConfigDict({"floor": entry}), context)
    summary = item.run({}, step=None, tokens=None, workdir=tmp_path)
    folder = tmp_path / "evals/floor/final"
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert record["model"]["name"] == "majority answer"
    assert record["run"]["kind"] == "majority"
    # Three labels in equal shares: the floor of NLI is near a third.
    assert 0.1 < summary["NLI"] < 0.7
    path = next(path for path in (folder / "samples").iterdir() if "nli" in path.name)
    lines = path.read_text(encoding="utf-8").strip().split("\n")
    assert len({json.loads(line)["prediction"] for line in lines}) == 1
    assert len(lines) == 20


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"suite": "mini/v2"}, "mini/v1"),
        ({"task": "mini/v1:nil"}, "mini/v1:nli"),
        ({"task": "mini/v1:nli", "split": "testt"}, "testt"),
        ({"task": "mini/v1:nli", "max_samples": 0}, "no sample"),
        ({"task": "mini/v1:nli", "metrics": ("exact",)}, "exact_match"),
        ({"task": "mini/v1:nli", "template": "v1.3"}, "llm_jp_v1.3"),
        ({"task": "mini/v1:nli", "bos": "no"}, "auto, always or never"),
        ({"task": "mini/v1:nli", "extraction": "v3"}, "extraction 'v3' is unknown"),
        ({"task": "mini/v1:nli", "num_runs": 3}, "evals.mine: num_runs=3 greedy runs"),
        ({"task": "mini/v1:nli", "num_runs": 0}, "asks at least once"),
        ({"suite": "mini/v1", "category": "QA"}, "mini/v1 has its own"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_generated(context, entry, named):
    with pytest.raises(UserError, match=named):
        _make(context, **entry)
