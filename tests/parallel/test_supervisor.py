"""What is started again, what is not, and that nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jaxllm.parallel import supervisor
from jaxllm.parallel.supervisor import supervise

# Each process notes its number, and what was told to it, in FOLDER/PID; then it does its part.
_NOTED = """
import os, pathlib, signal, sys, time
folder, number = pathlib.Path(sys.argv[1]), os.environ.get("JAX_PROCESS_ID", "alone")
starts = len(list(folder.glob(f"{number}-*")))
said = os.environ.get("JAX_COORDINATOR_ADDRESS", ""), os.environ.get("JAX_NUM_PROCESSES", "")
(folder / f"{number}-{os.getpid()}").write_text(" ".join(said))
"""


def _command(folder: Path, then: str) -> list[str]:
    return [sys.executable, "-c", _NOTED + then, str(folder)]


def _starts(folder: Path, number: object) -> list[str]:
    return [path.read_text() for path in folder.glob(f"{number}-*")]


def _running(folder: Path) -> list[int]:
    return [pid for path in folder.iterdir() if psutil.pid_exists(pid := int(path.name[2:]))]


def test_all_are_started_again_when_one_dies(tmp_path, capsys) -> None:
    then = """
if number == "1" and not starts: os.kill(os.getpid(), signal.SIGKILL)
if not starts: time.sleep(60)
"""
    started = time.monotonic()
    assert supervise(_command(tmp_path, then), processes=2, max_restarts=1) == 0
    assert time.monotonic() - started < 20
    (first, second), other = _starts(tmp_path, 0), _starts(tmp_path, 1)
    assert sorted((first, second)) == sorted(other)
    assert first != second  # the port of before may still be busy
    assert first.startswith("127.0.0.1:")
    assert first.endswith(" 2")
    assert "launch: process 1 died (SIGKILL)" in capsys.readouterr().err
    assert _running(tmp_path) == []


def test_it_gives_up_after_restarts_in_a_row(tmp_path, capsys) -> None:
    assert supervise(_command(tmp_path, "sys.exit(7)"), processes=1, max_restarts=1) == 7
    assert len(_starts(tmp_path, "alone")) == 2
    assert "1 restarts in a row were of no use, giving up" in capsys.readouterr().err


@pytest.mark.parametrize("status", [2, 130])
def test_a_mistake_or_an_interruption_is_final(tmp_path, status) -> None:
    then = f"sys.exit({status} if number == '1' else time.sleep(60))"
    assert supervise(_command(tmp_path, then), processes=2, max_restarts=5) == status
    assert len(_starts(tmp_path, 1)) == 1
    assert _running(tmp_path) == []


_SUPERVISED = """
import sys
from jaxllm.parallel.supervisor import supervise
sys.exit(supervise(sys.argv[2:], processes=2, max_restarts=5))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_its_own_end_is_that_of_all(tmp_path, number) -> None:
    then = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
(folder / f"r-{os.getpid()}").touch()
time.sleep(60)
"""
    child = [sys.executable, "-c", _SUPERVISED, "-", *_command(tmp_path, then)]
    with subprocess.Popen(child, env=os.environ) as process:
        while len(list(tmp_path.glob("r-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(20) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _running(tmp_path) == []


def test_pauses_grow(tmp_path, monkeypatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(supervisor, "_sleep", lambda seconds, asked: pauses.append(seconds))
    supervise([sys.executable, "-S", "-c", "import sys; sys.exit(1)"], processes=1, max_restarts=5)
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0]
