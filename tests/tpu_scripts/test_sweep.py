"""A config's sweep over several TPUs and over the tasks of a SLURM array."""

from __future__ import annotations

from pathlib import Path

import pytest

_CONFIG = """
from ml_collections import ConfigDict

def get_config():
    return ConfigDict({"lr": 1.0})

def sweep(add):
    for lr in (1e-3, 1e-2, 1e-1):
        add({"lr": lr})
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "lr.py"
    path.write_text(_CONFIG)
    return path


@pytest.mark.slow
def test_machines_share_the_points_and_are_given_back(cloud, repository, config, tmp_path) -> None:
    cloud.cue(states=[["ACTIVE"]] * 4)
    flags = (f"--config={config}", "--workdir=gs://b/lr")
    done = cloud.run("sweep.sh", *flags, cwd=tmp_path, **repository)
    assert done.returncode == 0, done.stderr
    ran = (cloud.folder / "ran.log").read_text().splitlines()
    by_machine = {
        machine: {line.rpartition("lr=")[2] for line in ran if line.startswith(f"{machine}/0/")}
        for machine in ("t-0", "t-1")
    }
    assert by_machine == {"t-0": {"0.001", "0.1"}, "t-1": {"0.01"}}
    assert all(" launch -- train --config=" in line for line in ran)
    assert cloud.count("queued-resources delete") == 2
    # Points that are done are not run again.
    assert cloud.run("sweep.sh", *flags, cwd=tmp_path, **repository).returncode == 0
    assert (cloud.folder / "ran.log").read_text().splitlines() == ran


@pytest.mark.slow
def test_slurm_gets_an_array_of_the_points(cloud, config, tmp_path) -> None:
    flags = (f"--config={config}", "--workdir=out", "--on=slurm")
    done = cloud.run("sweep.sh", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (call,) = cloud.calls
    assert "--array=0-2%2" in call["argv"]
    points = Path(call["argv"][-1]).read_text().splitlines()
    assert [line.rpartition("=")[2] for line in points] == ["0.001", "0.01", "0.1"]


def test_a_sweep_of_nothing_is_told(cloud) -> None:
    done = cloud.run("sweep.sh", "--workdir=out")
    assert done.returncode == 2
    assert "name a config with a sweep()" in done.stderr
