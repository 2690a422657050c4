"""Who is slow is told, and nobody else."""

from __future__ import annotations

import json
import os

import pytest

from jaxllm.parallel.stragglers import StragglerWatch, slower


def test_slower_is_far_above_the_rest_and_worth_a_word() -> None:
    assert slower([1.0, 1.1, 2.0, 0.9], at_least=0.0) == [2]
    assert slower([1.0, 1.1, 1.4, 0.9], at_least=0.0) == []
    assert slower([0.001, 0.002], at_least=0.01) == []
    assert slower([0.1, 0.2], at_least=0.01) == [1]


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
lines = []
with joined(parser.parse_args([])):
    watch = StragglerWatch()
    for steps in (1, 10, 10):
        busy = []
        if number == 1 and steps == 10:
            # What shares its core with others computes slowly.
            endless = [sys.executable, "-c", "import time\\nwhile time.process_time() < 20: pass"]
            busy = [subprocess.Popen(endless) for _ in range(4)]
            time.sleep(0.5)
        for _ in range(steps):
            watch.add(0.02 if number == 1 else 0.001)
            time.sleep(0.02)
        found = watch.check()
        if steps == 10:
            lines.append(found)
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
    for lines in said[0]:
        assert any("its devices take" in line for line in lines), lines
        assert any("it is busy for 0.02 s between steps" in line for line in lines), lines
        assert all(line.startswith("process 1 (") for line in lines), lines
