"""Training on preferences from end to end: margins grow, and no setting of speed changes them."""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest

import jaxllm.train as train_verb
from jaxllm.defaults import mixture_entry
from jaxllm.errors import UserError
from jaxllm.objectives import train_program
from jaxllm.observe.meter import MEASURED
from jaxllm.observe.writer import read_scalars
from jaxllm.parallel.mesh import make_mesh
from jaxllm.weights.load import load_model

_CLOCK = ("time", *MEASURED)


@pytest.fixture
def preferences(tmp_path):
    """48 pairs: whatever is asked, はい is preferred to some digits."""
    path = tmp_path / "preferences.jsonl"
    records = [
        {
            "prompt": f"質問：{'猫' * (i % 5 + 1)}{i}",
            "chosen": "はい",
            "rejected": str(i) * (i % 3 + 1),
        }
        for i in range(48)
    ]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    return path


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """On a few cores eight devices mostly wait for one another."""
    one = functools.partial(make_mesh, devices=jax.devices()[:1])
    monkeypatch.setattr(train_verb, "make_mesh", one)


@pytest.fixture
def config(tiny_train_config, preferences, tmp_path):
    config = tiny_train_config
    config.objective = "dpo"
    config.data_dir = str(tmp_path / "data")
    del config.mixture.questions
    config.mixture.preferences = mixture_entry(f"jsonl:{preferences}")
    config.input.max_length = 256
    config.steps = 8
    config.optimizer.peak_lr = 3e-3
    return config


def _log(workdir):
    rows = read_scalars(workdir)
    return [{key: value for key, value in row.items() if key not in _CLOCK} for row in rows]


def _assert_close(log, other):
    assert len(log) == len(other) > 0
    for row, same in zip(log, other, strict=True):
        if abs(same.get("rewards/margins", 1.0)) < 1e-5:  # who wins a tie is chance
            row, same = ({**one, "rewards/accuracies": 0.5} for one in (row, same))
        assert row == pytest.approx(same, rel=1e-4, abs=1e-5)


def test_margins_grow_and_the_log_says_so(config, tmp_path):
    config.mixture.preferences.held_out = 0.25
    config.evals.held_out = {"type": "preference", "rows": 2, "every": 4, "first": True}
    train_verb.train(config, tmp_path / "run")
    evals = [row for row in _log(tmp_path / "run") if "eval/held_out/accuracy" in row]
    log = [row for row in _log(tmp_path / "run") if "loss" in row]
    first, last = log[0], log[-1]
    # Nothing is learned yet: policy and reference are the same.
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert last["loss"] < 0.6
    assert last["rewards/margins"] > 0.2
    assert last["rewards/accuracies"] == 1
    assert last["rewards/margins"] == pytest.approx(
        last["rewards/chosen"] - last["rewards/rejected"], abs=1e-5
    )
    assert last["logps/chosen"] > first["logps/chosen"]
    # Of pairs that were never trained on, too.
    assert [row["step"] for row in evals] == [0, 4, 8]
    assert [row["eval/held_out/accuracy"] for row in evals][::2] == [0, 1]
    assert evals[-1]["eval/held_out/margin"] > 0.1
    assert evals[-1]["eval/held_out/loss"] < evals[0]["eval/held_out/loss"]
    assert len(list((tmp_path / "data" / "cache").glob("reference-*.npy"))) == 2


@pytest.mark.parametrize(
    "changes",
    [{"dpo.reference": "live"}, {"input.accumulation": 4}],
    ids=["live_reference", "micro_batches_on_two_devices"],
)
def test_nothing_changes_with(config, tmp_path, changes, monkeypatch, request):
    config.dpo.update(sft_weight=0.5)
    config.steps = 4
    train_verb.train(config, tmp_path / "one")
    config.update_from_flattened_dict(changes)
    if "two_devices" in request.node.name:
        two = functools.partial(make_mesh, devices=jax.devices()[:2])
        monkeypatch.setattr(train_verb, "make_mesh", two)
    train_verb.train(config, tmp_path / "other")
    last = _log(tmp_path / "one")[-1]
    assert last["sft_loss"] > 0.1
    assert last["loss/preferences"] == pytest.approx(last["loss"], rel=1e-5)
    _assert_close(_log(tmp_path / "one"), _log(tmp_path / "other"))


def test_the_reference_of_adapters_is_the_model_without_them(config, tiny_run, tmp_path):
    config.init_from = str(tiny_run)
    config.lora.update(rank=4, alpha=8.0, dropout=0.5)  # nothing is dropped all the same
    config.optimizer.peak_lr = 1e-2
    config.steps = 6
    for reference in ("cached", "live"):
        config.dpo.reference = reference
        train_verb.train(config, tmp_path / reference)
    cached, live = (_log(tmp_path / reference) for reference in ("cached", "live"))
    _assert_close(cached, live)
    assert cached[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert cached[-1]["rewards/margins"] > 0.1


def test_the_reference_is_asked_once(config, tmp_path, monkeypatch):
    train_verb.train(config, tmp_path / "one")
    (kept,) = (tmp_path / "data" / "cache").glob("reference-*.npy")
    with monkeypatch.context() as patch:
        patch.setattr("jaxllm.objectives.reference._asked", None)
        train_verb.train(config, tmp_path / "other")
    assert _log(tmp_path / "one") == _log(tmp_path / "other")
    kept.write_bytes(kept.read_bytes()[:-100])  # a damaged file is written anew
    train_verb.train(config, tmp_path / "third")
    assert _log(tmp_path / "one") == _log(tmp_path / "third")


@pytest.mark.parametrize("reference", ["cached", "live"])
def test_resume_bit_exact(config, tmp_path, monkeypatch, reference):
    config.dpo.reference = reference
    train_verb.train(config, tmp_path / "whole")
    make_train_step = train_program.make_train_step

    def interrupted(*args, **kwargs):
        step, left = make_train_step(*args, **kwargs), iter(range(6))

        def run(*args):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return step(*args)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(train_program, "make_train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_verb.train(config, tmp_path / "killed")
    train_verb.train(config, tmp_path / "killed")
    assert _log(tmp_path / "killed") == _log(tmp_path / "whole")
    weights = (jax.device_get(load_model(tmp_path / name).params) for name in ("killed", "whole"))
    assert jax.tree.all(jax.tree.map(np.array_equal, *weights))


def test_a_run_does_not_go_on_with_another_reference(config, tmp_path):
    train_verb.train(config, tmp_path)
    config.seed = 1  # other weights at the start, and the same pairs in another order
    config.steps = 9
    with pytest.raises(UserError, match=r"reference was sha256 .* and is sha256"):
        train_verb.train(config, tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"objective": "ppo"}, "use sft or dpo"),
        ({"dpo.loss": "hinge"}, "use sigmoid or ipo"),
        ({"dpo.beta": 0.0}, "above 0"),
        ({"dpo.label_smoothing": 0.5}, "below 0.5"),
        ({"dpo.loss": "ipo", "dpo.label_smoothing": 0.1}, "no meaning"),
        ({"input.packing": "concat"}, "cut pairs apart"),
    ],
)
def test_settings_that_make_no_sense(config, tmp_path, changes, reason):
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=reason):
        train_verb.train(config, tmp_path)
