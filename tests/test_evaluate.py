"""`jaxllm evaluate`: a config's evaluators on a finished model."""

from __future__ import annotations

import json
import shutil

import pytest

import jaxllm
from jaxllm.config import load_config
from jaxllm.convert import convert
from jaxllm.defaults import evaluate_config
from jaxllm.errors import UserError
from jaxllm.evaluate import evaluate, evaluate_series, main, score_outputs
from jaxllm.observe.writer import read_scalars
from jaxllm.reporting.results import find_results, read_result


@pytest.fixture
def config(tiny_questions):
    config = evaluate_config()
    config.evals.questions = {
        "type": "generate",
        "task": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "max_new_tokens": 8,
        "max_samples": 6,
    }
    config.evals.held_out = {
        "type": "loss",
        "source": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "bos": "never",
        "max_length": 128,
    }
    return config


def test_results_say_what_was_asked_of_which_model(config, tiny_run, tiny_questions, tmp_path):
    summaries = evaluate(config, tiny_run, tmp_path)
    assert set(summaries) == {"questions", "held_out"}
    assert 0 < summaries["held_out"]["loss"] < 6
    folder = tmp_path / "evals" / "questions" / "final"
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert record["model"]["name"] == "tiny"
    assert record["model"]["revision"] == "step 12"
    assert record["model"]["source"] == str(tiny_run)
    assert (record["split"], record["run"]["step"]) == ("test", None)
    (task,) = record["tasks"].values()
    assert (task["template"], task["max_new_tokens"], task["num_samples"]) == ("llm_jp_v1.3", 8, 6)
    assert task["metrics"]["exact_match"]["mean"] == summaries["questions"]["exact_match"]
    (found,) = find_results([tmp_path]).results
    assert found == read_result(folder)
    assert load_config(tmp_path).evals.to_dict() == config.evals.to_dict()


def test_the_same_model_scores_the_same_twice(config, tiny_run, tmp_path):
    assert evaluate(config, tiny_run, tmp_path / "a") == evaluate(config, tiny_run, tmp_path / "b")


def test_the_command_line(config, tiny_run, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    arguments = [
        f"--config={tmp_path / 'config.json'}",
        f"--model={tiny_run}",
        f"--workdir={tmp_path / 'out'}",
        "--config.evals.questions.max_samples=2",
    ]
    assert main(arguments) == 0
    assert "held_out: loss" in capsys.readouterr().out
    lines = (tmp_path / "out/evals/questions/final/samples").iterdir()
    assert [len(path.read_text(encoding="utf-8").strip().split("\n")) for path in lines] == [2]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config.evals.questions.update(type="generat"), "did you mean 'generate'"),
        (lambda config: config.evals.questions.update(task="jsonl:none"), "no file none"),
        (lambda config: config.model.update(attention="flash"), "attention='flash'"),
        (lambda config: config.model.update(dtype="bf16"), "bfloat16"),
    ],
)
def test_what_cannot_be_evaluated_is_told(config, tiny_run, tmp_path, change, named):
    with config.unlocked():
        change(config)
    with pytest.raises(UserError, match=named):
        evaluate(config, tiny_run, tmp_path)


def test_nothing_to_evaluate_and_no_model_are_told(config, tiny_run, tmp_path):
    with pytest.raises(UserError, match=r"config\.evals is empty"):
        evaluate(evaluate_config(), tiny_run, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no model"):
        evaluate(config, tmp_path / "empty", tmp_path / "out")


def test_a_series_is_each_of_its_checkpoints(config, tiny_run, tmp_path, capsys):
    summaries = evaluate_series(config, tiny_run, tmp_path)
    assert list(summaries) == [8, 12]
    assert summaries[12] == evaluate(config, tiny_run, tmp_path / "last")
    losses = {row["step"]: row["loss"] for row in read_scalars(tiny_run)}
    assert losses[8] > losses[12]
    assert summaries[8]["held_out"]["loss"] > summaries[12]["held_out"]["loss"]
    record = json.loads((tmp_path / "evals/questions/000008/result.json").read_text("utf-8"))
    assert (record["run"]["step"], record["model"]["name"]) == (8, "tiny")
    assert "step 8: " in capsys.readouterr().out
    # The same weights as Hugging Face folders.
    for step in (8, 12):
        source = tiny_run / "checkpoints" / str(step)
        convert(str(source), str(tmp_path / "hf" / f"iter_{step:07d}"), to="hf")
    assert evaluate_series(config, tmp_path / "hf", tmp_path / "again") == summaries


def test_a_series_that_is_asked_again_asks_nothing(config, tiny_run, tmp_path, monkeypatch):
    summaries = evaluate_series(config, tiny_run, tmp_path)
    monkeypatch.setattr("jaxllm.decode.engine.Generation", None)
    assert evaluate_series(config, tiny_run, tmp_path) == summaries
    # Every checkpoint has answers of its own: those of another do not serve.
    (tmp_path / "evals/questions/000012/journal").rename(tmp_path / "of_another")
    shutil.copytree(
        tmp_path / "evals/questions/000008/journal", tmp_path / "evals/questions/000012/journal"
    )
    with pytest.raises(TypeError):
        evaluate_series(config, tiny_run, tmp_path)


def test_flags_reach_every_evaluator(config, tiny_run, tmp_path):
    config.evals.likely = {"type": "score", "tasks": (config.evals.questions.task,)}
    config.evals.likely.template = "llm_jp_v1.3"
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    flags = [
        f"--config={tmp_path / 'config.json'}",
        f"--model={tiny_run}",
        f"--workdir={tmp_path / 'out'}",
    ]
    assert main([*flags, "--split=dev", "--max_samples=3", "--also=llm-jp-eval-v2"]) == 0
    evals = load_config(tmp_path / "out").evals
    assert {name: entry.split for name, entry in evals.items()} == dict.fromkeys(evals, "dev")
    assert (evals.likely.max_samples, evals.questions.max_samples) == (3, 3)
    assert "max_samples" not in evals.held_out
    results = find_results([tmp_path / "out"]).results
    assert [result.record["split"] for result in results] == ["dev", "dev"]
    for result in results:
        written = json.loads((result.folder / "llm-jp-eval-v2.json").read_text(encoding="utf-8"))
        assert len(written["records"]["questions"]) == 3


def test_outputs_made_elsewhere_need_no_model(config, tiny_run, tiny_questions, tmp_path, capsys):
    evaluate(config, tiny_run, tmp_path / "ours", also=("llm-jp-eval-v1",))
    written = tmp_path / "ours/evals/questions/final/llm-jp-eval-v1.json"
    theirs = tmp_path / "theirs"
    for name in ("one", "two"):
        (theirs / name).mkdir(parents=True)
        shutil.copy(written, theirs / name)
    generated = {
        "target_dataset": "questions",
        "samples": [{"input": "質問：猫0", "gold": "0", "generated": "0\n\n"}],
    }
    (theirs / "questions.eval-generated.json").write_text(json.dumps(generated))
    summaries = score_outputs(config, theirs, tmp_path / "scored")
    assert list(summaries) == ["questions", "tiny", "tiny_2"]
    assert "not run, for they need a model: held_out" in capsys.readouterr().err
    ours = read_result(tmp_path / "ours/evals/questions/final")
    again = read_result(tmp_path / "scored/tiny_2/evals/questions/final")
    (task,) = ours.tasks
    assert again.tasks[task]["metrics"] == ours.tasks[task]["metrics"]
    assert again.tasks[task]["data_sha256"] == ours.tasks[task]["data_sha256"]
    # One run has no folder of its own, and stands beside ours in the report.
    (theirs / "questions.eval-generated.json").unlink()
    shutil.rmtree(theirs / "two")
    flags = [f"--config={tmp_path / 'ours'}", f"--workdir={tmp_path / 'one'}"]
    assert main([*flags, f"--from_outputs={theirs}"]) == 0
    assert (tmp_path / "one/evals/questions/final/result.json").exists()
    (table,) = jaxllm.report([tmp_path / "ours", tmp_path / "one"])["tables"]
    assert len(table["rows"]) == 2


def test_outputs_that_cannot_be_scored_are_told(config, tmp_path):
    with pytest.raises(UserError, match=r"there is no .*absent"):
        score_outputs(config, tmp_path / "absent", tmp_path / "out")
    with pytest.raises(UserError, match="also='v3': choose from llm-jp-eval-v1"):
        score_outputs(config, tmp_path / "absent", tmp_path / "out", also=("v3",))
    del config.evals["questions"]
    with pytest.raises(UserError, match="scored by evaluators of type 'generate'"):
        score_outputs(config, tmp_path / "absent", tmp_path / "out")


def test_what_is_no_series_is_told(config, tmp_path):
    models, out = tmp_path / "models", tmp_path / "out"
    models.mkdir()
    with pytest.raises(UserError, match="holds no series"):
        evaluate_series(config, models, out)
    for name in ("best", "last"):
        (models / name).mkdir()
        (models / name / "config.json").write_text("{}")
    with pytest.raises(UserError, match="best: its name does not end in the step"):
        evaluate_series(config, models, out)
    for old, new in (("best", "iter_5"), ("last", "step-05")):
        (models / old).rename(models / new)
    with pytest.raises(UserError, match="both name step 5"):
        evaluate_series(config, models, out)
