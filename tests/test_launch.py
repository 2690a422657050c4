"""What `jaxllm launch` cannot start; what comes of the rest, `tests/parallel` and contracts say."""

from __future__ import annotations

import pytest

from jaxllm.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to launch"),
        (["--", "launch", "--", "train"], "launches no launcher"),
        (["--processes=0", "--", "train"], "at least 1"),
        (["--processes=2", "--", "judge"], "jaxllm judge runs in one process"),
    ],
)
def test_what_cannot_be_launched_is_told(arguments, said, capsys) -> None:
    assert main(["launch", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_judge_that_several_hosts_start_is_refused(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.2:8476")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    command = ["judge", "--config=configs/judge/benchmark.py:mt_bench_ja", f"--workdir={tmp_path}"]
    assert main(command) == 2
    assert "number 2 of 4: start one, with --num_processes=1" in capsys.readouterr().err
    # Then it says what else is missing.
    assert main([*command, "--num_processes=1"]) == 2
    assert "number 2" not in capsys.readouterr().err
