"""Contract: several processes train, evaluate and answer as one with the same mesh does.

On a mesh of two devices they come to the same bits. On four, a sum of four numbers is made in
another order between processes (gloo) than inside one (XLA): two and four processes agree to the
bit, and with one process to rounding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxllm.config import save_config
from jaxllm.defaults import evaluate_config
from jaxllm.observe.meter import MEASURED
from jaxllm.observe.writer import read_scalars
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.load import load_model

pytestmark = pytest.mark.slow


def _run(verb: str, *flags: str, processes: int, devices: int) -> None:
    """A verb on a mesh of so many devices, in one process or launched in several."""
    launcher = ["launch", f"--processes={processes}", "--max_restarts=0", "--"]
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices // processes}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "jaxllm", *(launcher if processes > 1 else []), verb, *flags],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def trained(tiny_train_config, tiny_questions, tmp_path):
    """Trains on a mesh, in so many processes; returns the workdir."""

    def train(processes: int, **mesh: int) -> Path:
        config = tiny_train_config
        config.mesh.update(mesh)
        config.evals.held = {
            "type": "loss",
            "source": f"jsonl:{tiny_questions}",
            "template": "llm_jp_v1.3",
            "bos": "never",
            "max_length": 128,
            "every": 6,
        }
        save_config(config, tmp_path / "train.json")
        devices = mesh["data"] * mesh["fsdp"]
        workdir = tmp_path / f"{processes}_of_{devices}"
        flags = (f"--config={tmp_path / 'train.json'}", f"--workdir={workdir}")
        _run("train", *flags, processes=processes, devices=devices)
        # Each process has read the same order, and only the first one has written.
        assert len(list((workdir / "metrics").iterdir())) == 1
        return workdir

    return train


def _log(workdir: Path) -> list[dict[str, float]]:
    """All scalars but those that tell the time."""
    rows = [
        {name: value for name, value in row.items() if name not in ("time", *MEASURED)}
        for row in read_scalars(workdir)
    ]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert "eval/held/loss" in rows[5]
    return rows


def test_on_two_devices_training_ends_with_the_same_bits(trained) -> None:
    one, two = trained(1, data=1, fsdp=2), trained(2, data=1, fsdp=2)
    assert _log(two) == _log(one)
    assert weights_digest(load_model(two).params) == weights_digest(load_model(one).params)


def test_on_four_devices_training_agrees_to_rounding(trained) -> None:
    one, two, four = (trained(processes, data=2, fsdp=2) for processes in (1, 2, 4))
    assert _log(four) == _log(two)
    params = [jax.device_get(load_model(workdir).params) for workdir in (one, two, four)]
    assert weights_digest(params[2]) == weights_digest(params[1])
    for row, wanted in zip(_log(two), _log(one), strict=True):
        assert row == pytest.approx(wanted, rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *params[:2])


def _evaluation(questions: Path, folder: Path) -> Path:
    config = evaluate_config()
    asked = {"template": "llm_jp_v1.3", "bos": "never", "max_samples": -1}
    task = f"jsonl:{questions}"
    config.evals.greedy = {"type": "generate", "task": task, "max_new_tokens": 24, **asked}
    config.evals.scored = {"type": "score", "tasks": (task,), **asked}
    save_config(config, folder / "evaluate.json")
    return folder / "evaluate.json"


def _results(workdir: Path) -> dict[str, bytes]:
    """Every file but the journals, whose segments are named by process, and the times."""
    return {
        str(path.relative_to(workdir)): path.read_bytes()
        for path in workdir.rglob("*")
        if path.is_file() and path.parent.name != "journal" and path.name != "timings.json"
    }


def test_evaluation_leaves_the_same_files(tiny_run, tiny_questions, tmp_path) -> None:
    config = _evaluation(tiny_questions, tmp_path)

    def evaluate(workdir: Path, processes: int) -> dict[str, bytes]:
        flags = (f"--config={config}", f"--model={tiny_run}", f"--workdir={workdir}")
        _run("evaluate", *flags, processes=processes, devices=4)
        return _results(workdir)

    one, two, four = (evaluate(tmp_path / str(number), number) for number in (1, 2, 4))
    assert {"config.json", "evals/greedy/final/result.json"} <= one.keys()
    assert two == one
    assert four == one
    # What four processes have answered needs not be asked by one.
    for place in (tmp_path / "4" / "evals").glob("*/final/result.json"):
        place.unlink()
    assert evaluate(tmp_path / "4", 1) == one
    timings = json.loads((tmp_path / "4/evals/greedy/final/timings.json").read_text())
    assert (timings["from_journal"], timings["answered_after_s"]) == (48, {})


def test_generate_leaves_the_same_file(tiny_run, tmp_path) -> None:
    lines = [
        {
            "id": f"q{index}",
            "prompt_ids": [3 + (7 * index + n) % 300 for n in range(4 + index % 9)],
            "max_new_tokens": 3 + index % 11,
            "temperature": index % 2,
            "n": 1 + index % 3,
        }
        for index in range(40)
    ]
    requests = tmp_path / "in.jsonl"
    requests.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answers(processes: int, *flags: str) -> bytes:
        out = tmp_path / f"{processes}.jsonl"
        asked = (f"--model={tiny_run}", f"--requests={requests}", f"--out={out}")
        _run("generate", *asked, *flags, processes=processes, devices=4)
        assert len(list(out.with_name(f"{out.name}.journal").iterdir())) == 1
        return out.read_bytes()

    one = answers(1)
    assert len(one.splitlines()) == 79
    assert answers(2) == one
    assert answers(4) == one
