"""Jobs for SLURM, and what they do when their time is over."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

_JOB = Path(__file__).parents[2] / "tpu_scripts" / "slurm" / "train.sbatch"


def test_a_job_has_a_task_for_each_gpu_and_is_queued_again(cloud, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cloud.run("slurm/submit.sh", NODES="2", GPUS_PER_NODE="4", COMMAND="jaxllm train")
    assert done.returncode == 0, done.stderr
    (call,) = cloud.calls
    *flags, script, command = call["argv"]
    assert {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--requeue"} <= set(flags)
    assert "--signal=B:TERM@60" in flags
    assert Path(script).name == "train.sbatch"
    assert command == "jaxllm train"
    assert (tmp_path / "logs").is_dir()


def test_an_array_has_a_task_for_each_line(cloud, tmp_path) -> None:
    points = tmp_path / "points.txt"
    points.write_text("echo a\necho b\necho c\n")
    done = cloud.run("slurm/submit.sh", "--dry_run", f"--array={points}", MACHINES="2")
    assert "--array=0-2%2" in done.stdout.replace("\\", "")
    environment = cloud.environment(SLURM_ARRAY_TASK_ID="1", SLURM_JOB_ID="7")
    ran = subprocess.check_output(["bash", _JOB, str(points)], env=environment, text=True)
    assert ran.splitlines()[-1] == "b"


def test_a_job_ends_with_the_status_of_its_command(cloud) -> None:
    environment = cloud.environment(SLURM_JOB_ID="7")
    done = subprocess.run(["bash", _JOB, "bash -c 'exit 3'"], env=environment, check=False)
    assert done.returncode == 3
    assert not (cloud.folder / "scontrol.log").exists()


def test_a_job_whose_time_is_over_saves_and_is_queued_again(cloud) -> None:
    started, saved, train = (cloud.folder / name for name in ("started", "saved", "train.sh"))
    train.write_text(
        f"trap 'sleep 0.3; touch {saved}; exit 0' TERM\n"
        f"touch {started}\nwhile true; do sleep 0.05; done\n"
    )
    environment = cloud.environment(SLURM_JOB_ID="7")
    job = subprocess.Popen(["bash", _JOB, f"bash {train}"], env=environment)
    while not started.exists():
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == 0
    assert saved.exists()
    assert (cloud.folder / "scontrol.log").read_text() == "scontrol requeue 7\n"
