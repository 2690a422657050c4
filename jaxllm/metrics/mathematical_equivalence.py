"""mathematical_equivalence: is the answer the reference as mathematics, however it is written?

By Hugging Face's math-verify, which reads LaTeX and plain numbers and compares with SymPy. What a
model writes may keep SymPy busy for hours or fill the memory (`9^{9^{9^9}}`), so pairs are compared
in processes of their own (math_worker.py) that are replaced when one takes too long.
"""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from jaxllm.metrics.registry import MissingMetric
from jaxllm.metrics.scores import Scores, normalise, scores_of

_WORKER = Path(__file__).with_name("math_worker.py")
_SECONDS = 10.0  # for one pair
_SECONDS_TO_START = 120.0  # SymPy is read from disk
_READY = b"ready\n"


def mathematical_equivalence(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    r"""Share of predictions that are equivalent to their reference.

    A text with `\boxed{}`, `$` or `\(` in it is searched for the answer as math-verify does; any
    other is taken for a formula as a whole. Pairs that cannot be compared within 10 s score 0.
    """
    pairs = [
        (normalise(prediction), normalise(reference))
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(pairs)):
        left.put(index)
    scores = [0.0] * len(pairs)
    num_workers = min(len(os.sched_getaffinity(0)), len(pairs))
    with ThreadPoolExecutor(num_workers) as pool:
        for done in [pool.submit(_compare, pairs, left, scores) for _ in range(num_workers)]:
            done.result()
    return scores_of(scores)


def _compare(
    pairs: Sequence[tuple[str, str]], left: queue.SimpleQueue[int], scores: list[float]
) -> None:
    """Takes pairs while any are left and fills in their scores."""
    index: int | None = _next(left)
    while index is not None:
        with _worker() as worker:
            while index is not None:
                score = _ask(worker, pairs[index])
                scores[index] = score or 0.0
                index = _next(left)
                if score is None:
                    break


def _next(left: queue.SimpleQueue[int]) -> int | None:
    try:
        return left.get_nowait()
    except queue.Empty:
        return None


@contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-P", str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as worker:
        try:
            if _line(worker, _SECONDS_TO_START) != _READY:
                raise MissingMetric("math-verify does not start here: try `import math_verify`")
            yield worker
        finally:
            worker.kill()


def _ask(worker: subprocess.Popen[bytes], pair: tuple[str, str]) -> float | None:
    """The score of one pair, None where the worker gives none in time."""
    assert worker.stdin is not None
    try:
        worker.stdin.write(json.dumps(pair).encode() + b"\n")
    except BrokenPipeError:
        return None
    answer = _line(worker, _SECONDS)
    return float(answer) if answer else None


def _line(worker: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line of a worker, which it writes at once; nothing if it ended or is late."""
    assert worker.stdout is not None
    readable, _, _ = select.select([worker.stdout], [], [], seconds)
    return worker.stdout.readline() if readable else b""
