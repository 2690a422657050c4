"""Who is slow is told, and nobody else."""

from __future__ import annotations

import json
import os

import pytest

from jaxllm.parallel.stragglers import Check, StragglerWatch, describe_slow, slower


def test_slower_is_far_above_the_rest_and_worth_a_word() -> None:
    assert slower([1.0, 1.1, 2.0, 0.9], at_least=0.0) == [2]
    assert slower([1.0, 1.1, 1.4, 0.9], at_least=0.0) == []
    assert slower([0.001, 0.002], at_least=0.01) == []
    assert slower([0.1, 0.2], at_least=0.01) == [1]


def _checks(between=((0.001, 0.001, 0.001),), own=((0.002, 0.002, 0.002),)):
    """Of steps of 0.2 s: the last of `between` and `own` goes on."""

    return [
        Check([0.2] * 3, between[min(n, len(between) - 1)], own[min(n, len(own) - 1)])
        for n in range(3)
    ]


def _slow(checks) -> list[str]:
    return [line.partition(" is slow: ")[0] for line in describe_slow(("a", "b", "c"), checks)]


def test_slow_is_who_was_slow_in_three_checks_in_a_row() -> None:
    slow = _checks(between=[(0.001, 0.05, 0.001)], own=[(0.002, 0.002, 0.004)])
    devices, host = describe_slow(("a", "b", "c"), slow)
    assert devices == "process 2 (c) is slow: its devices take 4 ms for what takes the others 2 ms"
    assert host.startswith("process 1 (b) is slow: it is busy for 0.05 s between steps of 0.2 s, ")
    assert describe_slow(("a", "b", "c"), slow[:2]) == []
    # What was long ago is forgotten.
    assert _slow(_checks() + slow) == ["process 2 (c)", "process 1 (b)"]
    assert _slow(slow + _checks()[:1]) == []


def test_a_loaded_machine_is_no_straggler() -> None:
    # A load that wanders about, one that comes and goes, and one that all have.
    wanders = [(0.3, 0.001, 0.001), (0.001, 0.3, 0.001), (0.001, 0.001, 0.3)]
    comes = [(0.001, 0.3, 0.001), (0.001, 0.001, 0.001), (0.001, 0.3, 0.001)]
    for seconds in (wanders, comes, [(0.3, 0.28, 0.31)]):
        assert _slow(_checks(between=seconds)) == []
        assert _slow(_checks(own=seconds)) == []
    # Many times slower, and still next to nothing: of a step, and of a clock.
    assert _slow(_checks(between=[(0.001, 0.018, 0.001)])) == []
    assert _slow(_checks(own=[(2e-5, 9e-5, 2e-5)])) == []


def test_one_process_is_never_slow() -> None:
    watch = StragglerWatch()
    watch.add(1.0)
    assert watch.check() == []


_PROCESS = """
import argparse, json, os, subprocess, sys, time
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.parallel.stragglers import StragglerWatch

parser = argparse.ArgumentParser()
add_process_flags(parser)
number = int(os.environ["JAX_PROCESS_ID"])
os.sched_setaffinity(0, {number})
with joined(parser.parse_args([])):
    watch = StragglerWatch()
    for steps in (1, 10, 10, 10):
        busy = []
        if number == 1 and steps == 10:
            # What shares its core with many computes slowly, beside other tests too.
            endless = [sys.executable, "-c", "import time\\nwhile time.process_time() < 20: pass"]
            busy = [subprocess.Popen(endless) for _ in range(16)]
            time.sleep(0.5)
        for _ in range(steps):
            watch.add(0.02 if number == 1 else 0.001)
            time.sleep(0.02)
        lines = watch.check()
        for process in busy:
            process.kill()
            process.wait()
print(json.dumps(lines), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_straggler_is_named_by_all(start_processes) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    said = [json.loads(text.splitlines()[-1]) for text in start_processes(_PROCESS, 2)]
    assert said[0] == said[1]
    assert any("its devices take" in line for line in said[0]), said[0]
    assert any("it is busy for 0.02 s between steps" in line for line in said[0]), said[0]
    assert all(line.startswith("process 1 (") for line in said[0]), said[0]
