"""The processes of one host: started together, ended together, started again when one dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO

# A mistake of the user's, an interruption, an end that was asked for: not mended by starting again.
_FINAL = frozenset({0, 2, 130, 143, -signal.SIGINT, -signal.SIGTERM})
_LASTED_SECONDS = 600.0
_MAX_PAUSE_SECONDS = 30.0
# What asked to end may take so long; clouds give 30 s until a machine is gone.
_GRACE_SECONDS = 28.0
_POLL_SECONDS = 0.1
# Becomes the command that follows, and ends with a launcher that is killed (PR_SET_PDEATHSIG is 1):
# two runs must not share a workdir.
_ENDS_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def supervise(command: Sequence[str], *, processes: int, max_restarts: int) -> int:
    """Runs `command` in `processes` until it ends for good; returns its exit status.

    A process that dies takes the others with it, and all are started again, at once after a start
    that lasted ten minutes, else after a growing pause, up to `max_restarts` times in a row.
    SIGTERM is handed on to all of them.
    """
    failures = 0
    with _sigterm() as asked:
        while True:
            started = time.monotonic()
            status, who = _run_once(command, processes, asked)
            if status in _FINAL or asked:
                return _shell_status(status)
            lasted = time.monotonic() - started
            failures = 1 if lasted >= _LASTED_SECONDS else failures + 1
            died = f"process {who} died ({_described(status)}) after {lasted:.0f} s"
            if failures > max_restarts:
                _say(f"{died}; {max_restarts} restarts in a row were of no use, giving up")
                return _shell_status(status)
            pause = 0.0 if failures == 1 else min(2.0 ** (failures - 2), _MAX_PAUSE_SECONDS)
            again = "all are started again" if processes > 1 else "it is started again"
            _say(f"{died}; {again}" + (f" in {pause:.0f} s" if pause else ""))
            _sleep(pause, asked)


def _run_once(command: Sequence[str], processes: int, asked: list[int]) -> tuple[int, int]:
    """The status with which one start ended, and of which process it is."""
    coordinator = f"127.0.0.1:{_free_port()}" if processes > 1 else ""
    children = [_start(command, number, processes, coordinator) for number in range(processes)]
    ends_at: float | None = None
    try:
        while True:
            ended = [
                (status, number)
                for number, child in enumerate(children)
                if (status := child.poll()) is not None
            ]
            failed = [end for end in ended if end[0] != 0]
            # The one that a signal ended, or that was wrong, goes before those that followed it.
            failed.sort(key=lambda end: end[0] == -signal.SIGABRT)
            if failed:
                return failed[0]
            if len(ended) == processes:
                return 0, 0
            if asked and ends_at is None:
                ends_at = time.monotonic() + _GRACE_SECONDS
                for child in children:
                    child.terminate()
            if ends_at is not None and time.monotonic() > ends_at:
                return -signal.SIGKILL, next(n for n, c in enumerate(children) if c.poll() is None)
            time.sleep(_POLL_SECONDS)
    finally:
        # They wait for one another in vain now, and what they saved is whole.
        for child in children:
            child.kill()
        for child in children:
            child.wait()


def _start(
    command: Sequence[str], number: int, processes: int, coordinator: str
) -> subprocess.Popen:
    environment = dict(os.environ)
    if processes > 1:
        environment |= {
            "JAX_COORDINATOR_ADDRESS": coordinator,
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(number),
            "JAX_LOCAL_DEVICE_IDS": str(number),  # of GPUs each process has one
        }
    # The first one has the terminal, with its bars; of the others errors and warnings are shown.
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", _ENDS_WITH_PARENT, *command],
        env=environment,
        stderr=subprocess.PIPE if number else None,
        text=True,
        errors="replace",
    )
    if child.stderr is not None:
        threading.Thread(target=_show, args=(child.stderr, number), daemon=True).start()
    return child


def _show(lines: IO[str], number: int) -> None:
    with lines:
        for line in lines:
            sys.stderr.write(f"[{number}] {line}")


@contextlib.contextmanager
def _sigterm() -> Iterator[list[int]]:
    """A list that is empty until SIGTERM comes."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _sleep(seconds: float, asked: list[int]) -> None:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at and not asked:
        time.sleep(_POLL_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _described(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    return signal.Signals(-status).name


def _shell_status(status: int) -> int:
    return status if status >= 0 else 128 - status


def _say(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)
