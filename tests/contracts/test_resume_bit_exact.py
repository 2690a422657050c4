"""Contract: a run that was interrupted ends with the same bits as one that was not."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxllm.train as train_verb
from jaxllm.config import save_config
from jaxllm.objectives import train_program
from jaxllm.observe.meter import MEASURED
from jaxllm.observe.writer import read_scalars
from jaxllm.weights.load import load_model

_CLOCK = ("time", *MEASURED)


def _params(workdir: Path):
    return jax.device_get(load_model(workdir).params)


def _log(workdir: Path) -> list[dict]:
    """All scalars but those that tell the time."""
    return [
        {name: value for name, value in row.items() if name not in _CLOCK}
        for row in read_scalars(workdir)
    ]


def _assert_same_run(workdir: Path, whole: Path) -> None:
    assert _log(workdir) == _log(whole)
    assert jax.tree.all(jax.tree.map(np.array_equal, _params(workdir), _params(whole)))


def _train_with_interruptions(config, workdir: Path, monkeypatch) -> None:
    """From the start to step 6 (a checkpoint at 4), then to 10 (one at 8), then to the end."""
    make_train_step = train_program.make_train_step

    def interrupted_after(num_steps):
        def make(*args, **kwargs):
            step, left = make_train_step(*args, **kwargs), iter(range(num_steps))

            def run(*state_and_batch):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return step(*state_and_batch)

            return run

        return make

    for num_steps in (6, 6):
        monkeypatch.setattr(train_program, "make_train_step", interrupted_after(num_steps))
        with pytest.raises(KeyboardInterrupt):
            train_verb.train(config, workdir)
    assert len(list((workdir / "metrics").iterdir())) == 2
    monkeypatch.setattr(train_program, "make_train_step", make_train_step)
    train_verb.train(config, workdir)


@pytest.mark.smoke
def test_resume_bit_exact(tiny_train_config, tiny_run, tmp_path, monkeypatch):
    _train_with_interruptions(tiny_train_config, tmp_path, monkeypatch)
    rows = [len(path.read_text().splitlines()) for path in sorted((tmp_path / "metrics").iterdir())]
    assert [row["step"] for row in _log(tmp_path)] == list(range(1, 13))
    assert sum(rows) > 12, "some steps were written twice"
    _assert_same_run(tmp_path, tiny_run)


def test_resume_bit_exact_with_adapters(tiny_train_config, tiny_run, tmp_path, monkeypatch):
    tiny_train_config.init_from = str(tiny_run)
    tiny_train_config.lora.update(rank=4, dropout=0.3, base="int8")
    train_verb.train(tiny_train_config, tmp_path / "whole")
    _train_with_interruptions(tiny_train_config, tmp_path / "parts", monkeypatch)
    _assert_same_run(tmp_path / "parts", tmp_path / "whole")
    base = load_model(tiny_run).params
    assert not jax.tree.all(jax.tree.map(np.array_equal, _params(tmp_path / "whole"), base))


def _start(config: Path, workdir: Path) -> subprocess.Popen:
    environment = {**os.environ, "XLA_FLAGS": ""}  # one device: eight on a few cores only wait
    return subprocess.Popen(
        [sys.executable, "-m", "jaxllm", "train", f"--config={config}", f"--workdir={workdir}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _num_rows(workdir: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in (workdir / "metrics").glob("*"))


@pytest.mark.parametrize(
    ("seed", "num_kills", "steps"),
    [
        (8, 2, 60),
        pytest.param(0, 10, 300, marks=pytest.mark.slow),
        pytest.param(1, 10, 300, marks=pytest.mark.slow),
    ],
)
def test_resume_bit_exact_after_kill_9(tiny_train_config, tmp_path, seed, num_kills, steps):
    config = tiny_train_config
    # Checkpoints all the time, so that many of the kills fall into one; and lines of the log that
    # tell of several steps, some of them from before a kill.
    config.steps, config.log_every = steps, 2
    config.checkpoint.update(every=3, keep_last=2)
    config.mesh.update(data=1)
    save_config(config, tmp_path / "config.json")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _run(tmp_path / "config.json", whole, status=0)

    moments = random.Random(seed)
    for kill in range(num_kills):
        before = _num_rows(killed)
        # Most kills come while it trains, some while it starts.
        rows = moments.randint(1, 15) if moments.random() < 0.8 else 0
        seconds = moments.random() * (0.1 if rows else 4.0)
        with _start(tmp_path / "config.json", killed) as process:
            while process.poll() is None and _num_rows(killed) < before + rows:
                time.sleep(0.005)
            time.sleep(seconds)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
            process.communicate(timeout=300)
        newest = max((row["step"] for row in _log(killed)), default=0)
        print(f"seed {seed}, kill {kill}: {seconds:.3f} s after {rows} more lines, step {newest}")
    _run(tmp_path / "config.json", killed, status=0)
    _assert_same_run(killed, whole)


@pytest.mark.slow
def test_resume_bit_exact_after_a_full_disk(tiny_train_config, tmp_path):
    disk, whole = tmp_path / "disk", tmp_path / "whole"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        tiny_train_config.checkpoint.keep_last = 20
        save_config(tiny_train_config, tmp_path / "config.json")
        # In processes of its own: Orbax leaves half-written tasks behind when a write fails.
        errors = _run(tmp_path / "config.json", disk / "run", status=2)
        saved = _steps(disk / "run")
        assert saved in ([4], [4, 8])
        last = f"step {saved[-1]} is the last good one"
        told = rf"(?m)^error: the disk .* is full: .*; {last}\. .*keep_last"
        assert re.search(told, errors), errors
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        _run(tmp_path / "config.json", disk / "run", status=0)
        _run(tmp_path / "config.json", whole, status=0)
        _assert_same_run(disk / "run", whole)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _run(config: Path, workdir: Path, *, status: int) -> str:
    with _start(config, workdir) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors
    return errors


def _steps(workdir: Path) -> list[int]:
    names = [path.name for path in (workdir / "checkpoints").iterdir()]
    return sorted(int(name) for name in names if name.isdigit())
