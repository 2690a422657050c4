"""Points of a sweep as processes, some at a time, past what earlier calls finished.

    WORKDIR/<point>/config.json     the resolved config, there before the run begins
    WORKDIR/<point>/log.txt         what the runs of this point printed, one after another
    WORKDIR/<point>/summary.json    written by a run that reached its end
    WORKDIR/<point>/.running        locked as long as a process of this point lives

A run takes its lock along: where the sweep alone is killed, its runs go on, and the same command
given again waits for them before it looks at what they left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxllm.config import CONFIG_FILE, load_config, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.observe.progress import duration
from jaxllm.observe.summary import SUMMARY_FILE
from jaxllm.sweeping.points import Point

LOG_FILE = "log.txt"
_ATTEMPTS = 2


def check_folders(points: Sequence[Point], configs: Sequence[ConfigDict], workdir: Path) -> None:
    """Raises UserError where a point's folder was made by another config."""
    for point, config in zip(points, configs, strict=True):
        folder = workdir / point.name
        if not (folder / CONFIG_FILE).exists():
            continue
        before, now = (_flat(plain_dict(one)) for one in (load_config(folder), config))
        if before != now:
            field = next(
                name
                for name in sorted({*before, *now})
                if name not in before or name not in now or before[name] != now[name]
            )
            raise UserError(
                f"{folder} holds a run of another config: config.{field} was "
                f"{before.get(field)!r} and is {now.get(field)!r}; take another --workdir, or "
                "remove this folder"
            )


class Runs:
    """Runs points in `parallel` processes at once; use it in a `with`, which ends them all.

    Args:
        gpus: how many GPUs of this machine the processes share, each having its own; 0 shows every
            process all devices.
        say: takes a line of what happens.
    """

    def __init__(self, *, parallel: int, gpus: int, say: Callable[[str], None]) -> None:
        if parallel < 1:
            raise UserError(f"--parallel={parallel}: use 1 or more")
        if gpus and gpus % parallel:
            raise UserError(f"--gpus={gpus} does not divide over --parallel={parallel} runs")
        self._say = say
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="sweep")
        self._children: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._is_closed = False
        self._devices: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        share = gpus // parallel
        for slot in range(parallel):
            mine = ",".join(str(slot * share + number) for number in range(share))
            self._devices.put({"CUDA_VISIBLE_DEVICES": mine} if share else {})

    def run(
        self, points: Sequence[Point], configs: Sequence[ConfigDict], workdir: Path
    ) -> dict[str, str]:
        """Runs what is not finished; returns why the others failed, by name of the point.

        A point that fails is run once more: what it had saved, it goes on from.
        """
        jobs = [
            self._pool.submit(self._point, f"[{number}/{len(points)}] {point.name}", folder, config)
            for number, (point, config) in enumerate(zip(points, configs, strict=True), start=1)
            for folder in [workdir / point.name]
        ]
        reasons = [job.result() for job in jobs]
        return {
            point.name: reason
            for point, reason in zip(points, reasons, strict=True)
            if reason is not None
        }

    def close(self) -> None:
        """Ends the runs that go on; they save nothing more than they have."""
        with self._guard:
            self._is_closed = True
            for child in self._children:
                child.terminate()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _point(self, title: str, folder: Path, config: ConfigDict) -> str | None:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, lambda: self._say(f"{title}: runs already; waiting for it")) as lock:
            if (folder / SUMMARY_FILE).exists():
                self._say(f"{title}: finished before")
                return None
            save_config(config, folder / CONFIG_FILE)
            self._say(f"{title}: started, prints to {folder / LOG_FILE}")
            for attempt in range(1, _ATTEMPTS + 1):
                clock = time.monotonic()
                reason = self._train(folder, lock)
                taken = duration(time.monotonic() - clock)
                if reason is None:
                    self._say(f"{title}: done in {taken}")
                    return None
                if self._is_closed:
                    break
                again = "; once more" if attempt < _ATTEMPTS else ""
                self._say(f"{title}: failed after {taken}: {reason}{again}")
            return reason

    def _train(self, folder: Path, lock: int) -> str | None:
        """One attempt; why it failed, or None."""
        command = [sys.executable, "-m", "jaxllm.train"]
        command += [f"--config={folder / CONFIG_FILE}", f"--workdir={folder}"]
        devices = self._devices.get()
        try:
            with open(folder / LOG_FILE, "ab") as log:
                began = log.tell()
                with self._guard:
                    if self._is_closed:
                        return "the sweep was stopped"
                    child = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **devices},
                        pass_fds=(lock,),
                    )
                    self._children.add(child)
                status = child.wait()
                with self._guard:
                    self._children.remove(child)
        finally:
            self._devices.put(devices)
        if (folder / SUMMARY_FILE).exists():
            return None
        return _last_words(folder / LOG_FILE, began, status)


def _last_words(log: Path, began: int, status: int) -> str:
    """What an attempt ended with: its error, or else its last line."""
    with open(log, "rb") as file:
        file.seek(began)
        lines = file.read().decode("utf-8", errors="replace").split("\n")
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    ended = f"signal {-status}" if status < 0 else f"exit {status}"
    return f"{(errors or lines or ['it printed nothing'])[-1]} ({ended})"


@contextlib.contextmanager
def _lock(folder: Path, when_busy: Callable[[], None]) -> Iterator[int]:
    """The descriptor of the folder's lock; children that inherit it hold it too."""
    descriptor = os.open(folder / ".running", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_busy()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
