"""`jaxllm sweep`: points as runs, whatever happens to them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from jaxllm.config import load_config, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.observe.writer import read_scalars
from jaxllm.sweep import main, sweep

_SWEEP = """
import json
from ml_collections import ConfigDict

def get_config():
    return ConfigDict(json.loads({config!r}))

def sweep(add):
    for peak_lr in {rates!r}:
        add({{"optimizer.peak_lr": peak_lr}})
"""


def _spec(folder: Path, config: ConfigDict, *rates: float) -> str:
    path = folder / "sweep.py"
    text = json.dumps(plain_dict(config))
    path.write_text(_SWEEP.format(config=text, rates=rates), encoding="utf-8")
    return str(path)


def test_a_dry_run_prints_a_command_for_each_point(tiny_train_config, tmp_path, capsys):
    spec = _spec(tmp_path, tiny_train_config, 1e-3, 1e-2)
    assert main([f"--config={spec}", "--config.steps=3", "--workdir=gs://b/s/", "--dry_run"]) == 0
    first, second = map(shlex.split, capsys.readouterr().out.splitlines())
    assert first[:2] == ["jaxllm", "train"]
    assert f"--config={spec}" in first
    assert "--config.steps=3" in second
    assert "--config.optimizer.peak_lr=0.01" in second
    assert second[-1] == "--workdir=gs://b/s/peak_lr=0.01"


def test_collect_compares_what_is_there(tiny_run, tiny_train_config, tmp_path, capsys):
    peak_lr = tiny_train_config.optimizer.peak_lr
    spec = _spec(tmp_path, tiny_train_config, peak_lr, 0.5)
    shutil.copytree(tiny_run, tmp_path / "out" / f"peak_lr={peak_lr:g}")
    outcomes = sweep(spec, tmp_path / "out", collect=True)
    assert [outcome.status for outcome in outcomes] == ["done", "not run"]
    assert outcomes[0].summary["loss"] == read_scalars(tiny_run)[-1]["loss"]
    assert outcomes[0].summary["steps"] == 12
    assert f"best loss: {outcomes[0].summary['loss']:.4g}, peak_lr=0.003" in capsys.readouterr().out
    assert (tmp_path / "out" / "sweep.html").stat().st_size > 1e6
    with pytest.raises(UserError, match=r"no run has the metric 'eval/x'; there are .*loss"):
        sweep(spec, tmp_path / "out", collect=True, metric="eval/x")


def test_a_folder_of_another_config_is_not_taken(tiny_train_config, tmp_path):
    spec = _spec(tmp_path, tiny_train_config, 1e-3)
    other = load_config(spec, ["optimizer.peak_lr=0.001", "steps=9"])
    (tmp_path / "out" / "peak_lr=0.001").mkdir(parents=True)
    save_config(other, tmp_path / "out" / "peak_lr=0.001" / "config.json")
    with pytest.raises(UserError, match=r"peak_lr=0.001 .* config\.steps was 9 and is 12"):
        sweep(spec, tmp_path / "out")


@pytest.mark.parametrize(
    ("flags", "told"), [({"parallel": 0}, "use 1 or more"), ({"parallel": 2, "gpus": 3}, "divide")]
)
def test_what_cannot_be_shared_out_is_told(tiny_train_config, tmp_path, flags, told):
    spec = _spec(tmp_path, tiny_train_config, 1e-3)
    with pytest.raises(UserError, match=told):
        sweep(spec, tmp_path / "out", **flags)


@pytest.mark.slow
def test_a_failed_point_is_run_once_more_and_the_others_finish(tiny_train_config, tmp_path, capsys):
    config = tiny_train_config
    config.steps, config.mesh.data = 4, 1
    spec = _spec(tmp_path, config, 1e-3, 1e30)
    command = [sys.executable, "-m", "jaxllm", "sweep", f"--config={spec}"]
    command += [f"--workdir={tmp_path / 'out'}", "--parallel=2"]
    environment = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("once more") == 1
    assert "failed: peak_lr=1e+30: the loss of step" in done.stdout
    assert "best loss" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "peak_lr=0.001: finished before" in again.stdout
    assert again.returncode == 1


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_no_point_runs_twice_at_once(tiny_train_config, tmp_path):
    config = tiny_train_config
    config.steps, config.mesh.data = 400, 1
    config.checkpoint.every = 50
    spec = _spec(tmp_path, config, 1e-3, 2e-3)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "jaxllm", "sweep", f"--config={spec}", f"--workdir={out}"]
    environment = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    metrics = out / "peak_lr=0.001" / "metrics" / "000000.jsonl"
    while not metrics.exists():
        assert first.poll() is None
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    # The run of the killed sweep lived on; the second sweep waited for it.
    assert "peak_lr=0.001: runs already; waiting for it" in done.stdout
    assert [path.name for path in metrics.parent.iterdir()] == ["000000.jsonl"]
    for rate in ("0.001", "0.002"):
        steps = [row["step"] for row in read_scalars(out / f"peak_lr={rate}")]
        assert steps == list(range(1, 401))
