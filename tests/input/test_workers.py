from __future__ import annotations

import functools
import operator
import os
import signal
import subprocess
import sys

import pytest

from jaxllm.errors import UserError
from jaxllm.input.workers import Workers, num_cpus


def test_results_come_in_the_order_of_the_items() -> None:
    with Workers(functools.partial(operator.mul, "ab"), 3) as workers:
        assert list(workers.map(range(50))) == ["ab" * number for number in range(50)]
        assert list(workers.map([])) == []


def test_items_are_taken_as_they_are_needed() -> None:
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    with Workers(operator.neg, 2) as workers:
        results = workers.map(items())
        assert next(results) == 0
        assert len(taken) <= 6


def test_an_error_is_raised_where_its_result_would_come() -> None:
    with Workers(functools.partial(operator.truediv, 6), 2) as workers:
        results = workers.map([1, 2, 0, 3])
        assert [next(results), next(results)] == [6.0, 3.0]
        with pytest.raises(ZeroDivisionError) as error:
            next(results)
    assert "in a process that prepares data" in error.value.__notes__[0]


def test_a_killed_process_is_told() -> None:
    with (
        Workers(signal.raise_signal, 1) as workers,
        pytest.raises(UserError, match=r"status -9 \(killed, as for want of memory\)"),
    ):
        list(workers.map([signal.SIGKILL]))


def test_no_process_is_left_behind() -> None:
    with Workers(operator.neg, 2) as workers:
        list(workers.map(range(10)))
        children = [child.pid for child in workers._children]
    assert len(children) == 2
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


_SCRIPT = """
import operator
from jaxllm.input.workers import Workers
print("once")
with Workers(operator.neg, 1) as workers:
    print(list(workers.map([1, 2])), flush=True)
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path) -> None:
    # What multiprocessing's spawn would run again in each child; nor do modules that stand beside
    # the script take the place of those they are named like.
    (tmp_path / "script.py").write_text(_SCRIPT)
    (tmp_path / "pickle.py").write_text("raise RuntimeError('not this one')")
    done = subprocess.run(
        [sys.executable, "-P", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "once\n[-1, -2]\n", done.stderr


def test_children_import_no_jax() -> None:
    code = "import jaxllm.input.tokenize, sys; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_there_is_a_processor() -> None:
    assert num_cpus() >= 1
