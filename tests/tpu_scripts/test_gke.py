"""The JobSet for GKE, and the script that waits for it."""

from __future__ import annotations

import pytest
import yaml

_IMAGE = {"IMAGE": "registry/jaxllm:1", "MAX_RESTARTS": "9"}


def test_the_jobset_has_a_pod_for_each_host(cloud) -> None:
    command = "jaxllm train --config=c.py --config.model.name=\"a b\" --workdir='gs://b/x'"
    done = cloud.run("gke/jobset.sh", COMMAND=command, GKE_TOPOLOGY="2x2x4", SLICES="2", **_IMAGE)
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load(done.stdout)["spec"]
    (job,) = spec["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["replicas"], spec["failurePolicy"]["maxRestarts"]) == (2, 9)
    assert job["template"]["spec"]["parallelism"] == job["template"]["spec"]["completions"] == 4
    assert container["command"] == ["bash", "-c", f"exec {command}"]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    assert pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == "2x2x4"
    assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert pod["tolerations"][0]["key"] == "cloud.google.com/gke-spot"


def test_reserved_nodes_are_selected_by_their_reservation(cloud) -> None:
    done = cloud.run("gke/jobset.sh", PROVISIONING="reserved", RESERVATION="ours", **_IMAGE)
    job = yaml.safe_load(done.stdout)["spec"]["replicatedJobs"][0]
    pod = job["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"]["cloud.google.com/reservation-name"] == "ours"
    assert "tolerations" not in pod


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"IMAGE": ""}, "IMAGE is not set"),
        ({"GKE_TOPOLOGY": "4,4"}, "write it as 4x4"),
        ({"GKE_TOPOLOGY": "3x3"}, "9 chips, which 4 a host do not divide"),
        ({"PROVISIONING": "reserved"}, "needs RESERVATION"),
    ],
)
def test_settings_that_make_no_jobset_are_told(cloud, settings, told) -> None:
    done = cloud.run("gke/jobset.sh", **{**_IMAGE, **settings})
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_dry_run_prints_the_manifest(cloud) -> None:
    done = cloud.run("gke/run.sh", "--dry_run", **_IMAGE)
    assert done.stdout.startswith("kubectl apply -f - <<'END'\napiVersion: jobset")
    assert cloud.calls == []


def test_it_waits_through_restarts_and_silence(cloud) -> None:
    cloud.cue(fail={"get": 1}, states=[" 0", " 1", "Completed 1"])
    done = cloud.run("gke/run.sh", **_IMAGE)
    assert done.returncode == 0, done.stderr
    assert "kubectl does not answer (1/5)" in done.stderr
    assert "Completed 1" in done.stderr


def test_a_jobset_that_failed_shows_its_end_and_is_begun_anew(cloud) -> None:
    cloud.cue(states=[" 0", "Failed 9"])
    failed = cloud.run("gke/run.sh", **_IMAGE)
    assert failed.returncode == 1
    assert "loss is nan" in failed.stdout
    cloud.cue(states=["Failed 9", "Completed 0"])
    assert cloud.run("gke/run.sh", **_IMAGE).returncode == 0
    assert [call["call"] for call in cloud.calls].count("delete") == 1
