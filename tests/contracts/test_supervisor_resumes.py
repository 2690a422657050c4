"""Contract: a run in several processes that loses one of them ends as one that never did.

The others are gone within 45 seconds, the launchers start all again, and the run goes on from its
last checkpoint to the same bits. SIGTERM saves and exits with 0 within 25 seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jaxllm.config import save_config
from jaxllm.observe.meter import MEASURED
from jaxllm.observe.writer import read_scalars
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.load import load_model

pytestmark = pytest.mark.slow

_STEPS = 200


@pytest.fixture
def config(tiny_train_config, tmp_path) -> Path:
    """Of a run on two devices; there are checkpoints all the time."""
    tiny_train_config.steps = _STEPS
    tiny_train_config.checkpoint.update(every=7, keep_last=2)
    tiny_train_config.mesh.update(data=1, fsdp=2)
    save_config(tiny_train_config, tmp_path / "config.json")
    return tmp_path / "config.json"


@contextlib.contextmanager
def _started(*command: str, devices: int = 1) -> Iterator[psutil.Popen]:
    """`jaxllm COMMAND`; it and its processes are gone afterwards."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    with psutil.Popen(
        [sys.executable, "-m", "jaxllm", *command],
        env={**os.environ, "XLA_FLAGS": flags},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            if process.is_running():
                process.kill()  # what it launched ends with it


def _wait(what: Callable[[], bool], *, seconds: float, alive: psutil.Popen) -> None:
    ends_at = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends_at
        assert alive.poll() is None, "it ended too early"
        time.sleep(0.02)


def _num_rows(workdir: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in (workdir / "metrics").glob("*"))


def _assert_undisturbed(workdir: Path, config: Path) -> None:
    """One process on the same mesh comes to the same log and the same weights."""
    whole = workdir.with_name("whole")
    train = ("train", f"--config={config}", f"--workdir={whole}")
    with _started(*train, devices=2) as process:
        assert process.wait(300) == 0
    logs = [
        [
            {name: value for name, value in row.items() if name not in ("time", *MEASURED)}
            for row in read_scalars(folder)
        ]
        for folder in (workdir, whole)
    ]
    assert [row["step"] for row in logs[0]] == list(range(1, _STEPS + 1))
    assert logs[0] == logs[1]
    digests = [weights_digest(load_model(folder).params) for folder in (workdir, whole)]
    assert digests[0] == digests[1]


def test_two_hosts_go_on_when_one_loses_its_process(config, tmp_path) -> None:
    workdir = tmp_path / "run"
    with socket.create_server(("127.0.0.1", 0)) as free:
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"

    def host(number: int) -> tuple[str, ...]:
        known = (f"--coordinator={coordinator}", "--num_processes=2", f"--process_id={number}")
        return "launch", "--", "train", f"--config={config}", f"--workdir={workdir}", *known

    with _started(*host(0)) as first, _started(*host(1)) as second:
        # A worker, then the coordinator; each time the other launcher knows of nothing.
        for launcher in (second, first):
            before = _num_rows(workdir)
            _wait(lambda n=before: _num_rows(workdir) > n + 20, seconds=240, alive=launcher)
            lost = [*first.children(), *second.children()]
            assert len(lost) == 2
            launcher.children()[0].kill()
            _wait(lambda old=lost: not any(map(_runs, old)), seconds=45, alive=launcher)
        assert first.wait(240) == 0
        assert second.wait(240) == 0
    # Nobody has written but the first process, once in each of three starts.
    assert len(list((workdir / "metrics").iterdir())) == 3
    _assert_undisturbed(workdir, config)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("told", ["launcher", "one process"])
def test_sigterm_saves_and_the_same_command_goes_on(config, tmp_path, told) -> None:
    workdir = tmp_path / "run"
    # No checkpoint falls due before the end.
    train = ("train", f"--config={config}", f"--workdir={workdir}", "--config.checkpoint.every=0")
    command = ("launch", "--processes=2", "--", *train)
    with _started(*command) as launcher:
        _wait(lambda: _num_rows(workdir) > 20, seconds=240, alive=launcher)
        asked = launcher if told == "launcher" else launcher.children()[1]
        asked.send_signal(signal.SIGTERM)
        assert launcher.wait(25) == 0
    names = [path.name for path in (workdir / "checkpoints").iterdir()]
    (saved,) = [int(name) for name in names if name.isdigit()]
    assert 20 < saved < _STEPS
    with _started(*command) as launcher:
        assert launcher.wait(300) == 0
    assert len(list((workdir / "metrics").iterdir())) == 2
    _assert_undisturbed(workdir, config)
