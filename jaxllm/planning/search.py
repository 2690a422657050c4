"""Meshes and remat policies of one topology, those that fit ranked by their least time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.overrides import apply_overrides
from jaxllm.planning.estimate import Estimate, estimate_step
from jaxllm.planning.process import Job, run_trial, run_trials
from jaxllm.planning.topology import Topology
from jaxllm.planning.trial import Trial

_GIB = 2**30
_POLICIES = ("none", "dots", "full")
# Our count may be above what a compiler needs, which lets parts share memory.
_NEAR = 1.5
# Beyond one machine's chips the sums of `tensor`, two in every layer, take too long.
_MOST_TENSOR = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A mesh and a policy that were compiled and fit."""

    mesh: dict[str, int]
    remat: str
    gib: float
    estimate: Estimate


def search(
    config: ConfigDict,
    topology: Topology,
    job: Job,
    *,
    most: int,
    say: Callable[[str], None],
) -> list[Candidate]:
    """The candidates that fit, fastest first.

    All are counted; those that our count says to be near what there is or below it are compiled,
    `most` of them, the least recomputation and the least `tensor` first.

    Raises:
        UserError: no mesh divides the config.
    """
    candidates: list[ConfigDict] = []
    for sizes in meshes(topology):
        for policy in _POLICIES:
            changed = config.copy_and_resolve_references()
            overrides = [f"mesh.{axis}={size}" for axis, size in sizes.items()]
            apply_overrides(changed, [*overrides, f"model.remat={policy}"])
            candidates.append(changed)
    trials = run_trials(candidates, dataclasses.replace(job, compiles=False))
    refused = [trial for trial in trials if isinstance(trial, UserError)]
    if len(refused) == len(trials):
        raise refused[0]
    counted = [
        (changed, trial)
        for changed, trial in zip(candidates, trials, strict=True)
        if isinstance(trial, Trial)
        and _gib(trial.memory.total, topology) < _NEAR * topology.chip.hbm_gib
    ]
    counted.sort(key=lambda one: _promise(one[1], one[0].model.remat))
    found: list[Candidate] = []
    for changed, _ in counted[:most]:
        trial = run_trial(changed, job)
        assert isinstance(trial, Trial)
        text = f"{_text(trial.mesh)} remat={changed.model.remat}"
        if trial.step is None or not trial.step.fits:
            say(f"{text}: does not fit")
            continue
        estimate = estimate_step(trial.work, trial.step.collectives, topology)
        candidate = Candidate(
            mesh=trial.mesh,
            remat=changed.model.remat,
            gib=_gib(trial.step.peak, topology),
            estimate=estimate,
        )
        say(f"{text}: {candidate.gib:.1f} GiB, {estimate.step_s:.3f} s at least")
        found.append(candidate)
    return sorted(found, key=lambda one: (one.estimate.step_s, one.estimate.ici_s, one.gib))


def meshes(topology: Topology) -> list[dict[str, int]]:
    """The ways to share the devices of a topology out over the axes; slices go to `data`."""
    found = []
    devices = topology.devices
    for tensor in _divisors(devices):
        if tensor > _MOST_TENSOR:
            break
        for fsdp in _divisors(devices // tensor):
            data = devices // tensor // fsdp
            if data % topology.num_slices == 0:
                found.append({"data": data, "fsdp": fsdp, "tensor": tensor})
    return found


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]


def _promise(trial: Trial, remat: str) -> tuple[int, int, int]:
    return _POLICIES.index(remat), trial.mesh["tensor"], trial.memory.total


def _gib(size: int, topology: Topology) -> float:
    return size * topology.chip.devices / _GIB


def _text(mesh: dict[str, int]) -> str:
    return " ".join(f"{axis}={size}" for axis, size in mesh.items())
