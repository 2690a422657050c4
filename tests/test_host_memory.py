"""A verb's process gets its memory in large pages."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jaxllm.host_memory import gives_large_pages_on_demand

_COUNT_FAULTS = """
import os, resource, sys
import numpy as np
from jaxllm.verb import run_verb

def main(argv):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(1 << 23)
    print(os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, *sys.argv[1:])
    return 3

sys.exit(run_verb(main))
"""


@pytest.mark.skipif(not gives_large_pages_on_demand(), reason="no large pages on demand")
def test_a_verb_starts_again_with_large_pages_as_the_same_process(tmp_path):
    (tmp_path / "verb.py").write_text(_COUNT_FAULTS)
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "verb.py"), "a b", "c"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    number, faults, *rest = process.communicate()[0].split()
    assert process.returncode == 3
    assert int(number) == process.pid
    assert int(faults) < 2_000  # 64 MB are 16,384 small pages
    assert rest == ["a", "b", "c"]


def test_a_program_from_a_pipe_runs_once_and_whole():
    program = "from jaxllm.verb import run_verb\nrun_verb(lambda argv: print('ran') or 0)\n"
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, check=True
    )
    assert done.stdout == "ran\n"
