"""Training from a config: what a run leaves behind, and what it says when it cannot go on."""

from __future__ import annotations

import json
import math

import jax
import numpy as np
import pytest

from jaxllm.config import load_config
from jaxllm.errors import UserError
from jaxllm.models.partition import leaf_names
from jaxllm.observe.goodput import read_goodput
from jaxllm.observe.summary import read_summary
from jaxllm.observe.writer import read_scalars
from jaxllm.train import main, train
from jaxllm.weights.load import load_model


def test_a_run_leaves_config_metrics_and_checkpoints(tiny_run, tiny_train_config):
    assert load_config(tiny_run).to_dict() == tiny_train_config.to_dict()
    rows = read_scalars(tiny_run)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1
    assert rows[0]["loss"] == pytest.approx(math.log(384), abs=0.3)
    assert [row["learning_rate"] for row in rows[:3]] == pytest.approx([0, 1.5e-3, 3e-3])
    assert all(row["tokens_per_second"] > 0 and row["grad_norm"] > 0 for row in rows)
    tokens = np.cumsum([row["tokens"] for row in rows])
    assert [row["tokens_seen"] for row in rows] == tokens.tolist()
    measured = ("step_s", "mfu", "rss_mb", "param_norm")
    assert all(row[name] > 0 for row in rows for name in measured)
    assert all(0 <= row[name] <= 1 for row in rows for name in ("input_wait", "goodput"))
    names = {path.name for path in (tiny_run / "checkpoints").iterdir()}
    assert {"8", "12", "model"} <= names
    assert "4" not in names
    model = load_model(tiny_run)
    assert (model.name, model.revision, model.config.vocab_size) == ("tiny", "step 12", 384)


def test_a_run_tells_what_it_compiled_and_where_its_time_went(tiny_run):
    lines = (tiny_run / "compiles" / "000000.jsonl").read_text().splitlines()
    (step,) = [row for row in map(json.loads, lines) if row["program"] == "jit(step)"]
    assert "int32[1,8,128]" in step["shapes"]
    found = read_goodput(tiny_run)
    assert found.useful > 0
    assert {"startup", "compile", "checkpoint"} <= set(found.lost)
    assert read_summary(tiny_run)["goodput"] == pytest.approx(found.share, abs=0.1)


def test_the_log_shows_mesh_model_input_and_the_first_example(tiny_train_config, tmp_path, capsys):
    tiny_train_config.steps = 1
    train(tiny_train_config, tmp_path)
    out = capsys.readouterr().out
    assert "8 cpu devices: data=8 fsdp=1 tensor=1" in out
    assert "parameters, compute in float32" in out
    assert "### 応答" in out


def test_a_finished_run_started_again_changes_nothing(tiny_train_config, tmp_path, capsys):
    tiny_train_config.steps = 4
    train(tiny_train_config, tmp_path)
    before = read_scalars(tmp_path)
    train(tiny_train_config, tmp_path)
    assert "resuming after step 4" in capsys.readouterr().out
    assert read_scalars(tmp_path) == before


def test_training_starts_from_the_weights_of_another_run(tiny_train_config, tiny_run, tmp_path):
    config = tiny_train_config
    config.init_from, config.tokenizer = str(tiny_run), ""
    config.model.architecture = {}
    config.steps = 2
    config.optimizer.update(peak_lr=0.0)
    train(config, tmp_path)
    rows, before = read_scalars(tmp_path), read_scalars(tiny_run)
    assert rows[0]["loss"] < before[4]["loss"]
    same = jax.tree.map(np.array_equal, load_model(tmp_path).params, load_model(tiny_run).params)
    assert jax.tree.all(same)


def test_frozen_weights_stay_bit_equal_and_are_saved(tiny_train_config, tiny_run, tmp_path):
    config = tiny_train_config
    config.init_from = str(tiny_run)
    config.steps = 4
    config.optimizer.freeze = ("embed.*", "*.scale")
    train(config, tmp_path)
    before, after = (load_model(run).params for run in (tiny_run, tmp_path))
    moved = {
        name: not np.array_equal(old, new)
        for name, old, new in zip(
            leaf_names(before), jax.tree.leaves(before), jax.tree.leaves(after), strict=True
        )
    }
    assert all(is_moved == name.endswith("kernel") for name, is_moved in moved.items())
    train(config, tmp_path)  # resumes


@pytest.mark.parametrize("packing", ["none", "concat"])
def test_other_packings_train_too(tiny_train_config, tmp_path, packing):
    config = tiny_train_config
    config.steps = 4
    config.input.packing = packing
    summary = train(config, tmp_path)
    assert summary["steps"] == 4
    assert summary["loss"] < 6.2


def test_an_infinite_loss_names_step_examples_and_checkpoint(tiny_train_config, tmp_path):
    config = tiny_train_config
    config.optimizer.update(peak_lr=1e30, warmup=4.0, clip_norm=0.0)
    config.checkpoint.every = 1
    with pytest.raises(UserError) as error:
        train(config, tmp_path)
    told = str(error.value)
    rows = read_scalars(tmp_path)
    step = rows[-1]["step"] + 1
    assert f"the loss of step {step} is " in told
    assert "questions: questions.jsonl:" in told
    assert f"the last good checkpoint is step {step - 1} in {tmp_path}" in told
    assert all(math.isfinite(row["loss"]) for row in rows)


def test_an_infinite_loss_before_any_checkpoint(tiny_train_config, tmp_path):
    tiny_train_config.optimizer.update(peak_lr=1e30, warmup=0.0)
    tiny_train_config.checkpoint.every = 0
    with pytest.raises(UserError, match="no checkpoint was saved before it"):
        train(tiny_train_config, tmp_path)


def test_a_workdir_of_other_data_is_not_resumed(tiny_train_config, tmp_path):
    tiny_train_config.steps = 4
    train(tiny_train_config, tmp_path)
    tiny_train_config.seed = 1
    reason = r"checkpoint of step 4 .* order: seed was 0 and is 1\. Undo"
    with pytest.raises(UserError, match=reason):
        train(tiny_train_config, tmp_path)


def test_a_workdir_of_another_model_is_not_resumed(tiny_train_config, tmp_path):
    tiny_train_config.steps = 4
    train(tiny_train_config, tmp_path)
    tiny_train_config.model.architecture.ffn_size = 72
    with pytest.raises(UserError, match=r"blocks\.mlp\..*\[2, 32, 64\] in the checkpoint"):
        train(tiny_train_config, tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config.update(tokenizer=""), "config.tokenizer is empty"),
        (lambda config: config.update(steps=0), "one of config.steps and config.epochs"),
        (lambda config: config.input.update(rows=12), "rows=12 .* multiple of 8, such as 16"),
        (lambda config: config.input.update(accumulation=2), "multiple of 16, such as 16"),
        (lambda config: config.mesh.update(fsdp=3), "multiply to 8"),
        (lambda config: config.mixture.questions.update(source=""), "questions has no source"),
        (lambda config: config.model.update(attention="flash"), "attention='flash'"),
        (
            lambda config: config.model.architecture.update(positions="learned", max_positions=16),
            "has 16 positions and the data has examples of .*max_length=16",
        ),
        (lambda config: config.model.update(dtype="float31"), "float31"),
        (lambda config: config.optimizer.update(schedule="step"), "schedule='step'"),
        (lambda config: config.optimizer.update(freeze=("embeds",)), "'embeds' matches no weight"),
        (lambda config: config.update(objective="rlhf"), "objective='rlhf'"),
        (lambda config: config.early_stopping.update(patience=2), "name the metric"),
        (lambda config: config.checkpoint.update(keep_last=0), "keep_last=0"),
    ],
)
def test_a_config_that_cannot_work_names_the_field(tiny_train_config, tmp_path, change, named):
    change(tiny_train_config)
    with pytest.raises(UserError, match=named):
        train(tiny_train_config, tmp_path)


def test_evaluators_run_when_they_are_due_and_choose_the_best(
    tiny_train_config, tiny_questions, tmp_path
):
    config = tiny_train_config
    config.steps = 8
    config.evals.held_out = {
        "type": "loss",
        "source": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "bos": "never",
        "max_length": 128,
        "every": "50%",
        "first": True,
    }
    config.checkpoint.update(
        every=2, keep_last=1, best_metric="eval/held_out/loss", best_mode="min"
    )
    summary = train(config, tmp_path)
    evaluated = {
        row["step"]: row["eval/held_out/loss"]
        for row in read_scalars(tmp_path)
        if "eval/held_out/loss" in row
    }
    assert list(evaluated) == [0, 4, 8]
    assert evaluated[8] < evaluated[0]
    assert summary["eval/held_out/loss"] == evaluated[8]
    assert summary["best_step"] == 8
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert "8" in names


def test_a_run_that_gets_no_better_ends_early(tiny_train_config, tiny_questions, tmp_path, capsys):
    config = tiny_train_config
    held_out = {
        "type": "loss",
        "source": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "bos": "never",
        "max_length": 128,
    }
    config.evals.held_out = held_out | {"every": 2}
    config.evals.at_the_end = held_out
    config.checkpoint.update(every=0, best_metric="eval/held_out/loss", best_mode="min")
    # No evaluation is that much better: the first one stays the best.
    config.early_stopping.update(patience=3, min_delta=100.0)
    assert train(config, tmp_path)["steps"] == 8
    assert "step 8: 3 evaluations of eval/held_out/loss and none better" in capsys.readouterr().out
    ends = [row["step"] for row in read_scalars(tmp_path) if "eval/at_the_end/loss" in row]
    assert ends == [8]
    # Started again it is over; from the checkpoint before it counts on.
    assert train(config, tmp_path)["steps"] == 8
    ended = load_model(tmp_path)
    (tmp_path / "checkpoints" / "8").rename(tmp_path / "8")
    assert load_model(tmp_path).revision == "step 6"
    assert train(config, tmp_path)["steps"] == 8
    same = jax.tree.map(np.array_equal, load_model(tmp_path).params, ended.params)
    assert jax.tree.all(same)


@pytest.mark.smoke
def test_the_command_line(tiny_train_config, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(tiny_train_config.to_dict()))
    arguments = [f"--config={path}", f"--workdir={tmp_path / 'run'}", "--config.steps=2"]
    assert main(arguments) == 0
    assert load_config(tmp_path / "run").steps == 2
    assert [row["step"] for row in read_scalars(tmp_path / "run")] == [1, 2]
    with pytest.raises(UserError, match="peak_lr"):
        main([*arguments, "--config.optimizer.peak_rl=1"])
