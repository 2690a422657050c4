"""A plan as one JSON object."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxllm.planning.advice import Attempt, advice_lines
from jaxllm.planning.estimate import estimate_step, run_hours
from jaxllm.planning.search import Candidate
from jaxllm.planning.topology import Topology
from jaxllm.planning.trial import DecodeTrial, Evaluation, Trial

_GIB = 2**30


def plan_record(
    trial: Trial,
    topology: Topology,
    *,
    accumulation: int,
    mfu: float,
    tried: Sequence[Attempt] = (),
    found: Sequence[Candidate] | None = None,
) -> dict[str, Any]:
    """What `jaxllm plan --json` prints. Sizes named `gib` are a chip's; `least` is the roofline."""
    step = trial.step
    assert step is not None
    chip = topology.chip

    def gib(size: float) -> float:
        return round(size * chip.devices / _GIB, 3)

    estimate = estimate_step(trial.work, step.collectives, topology)
    evaluation = None if trial.evaluation is None else _evaluation(trial.evaluation, topology)
    record: dict[str, Any] = {
        "fits": trial.fits(topology),
        "chips": topology.chips,
        "peak_gib_per_chip": gib(step.peak),
        "hbm_gib_per_chip": chip.hbm_gib,
        "advice": advice_lines(tried),
        **_place(topology),
        "mesh": trial.mesh,
        "num_params": trial.num_params,
        "rows_per_device": trial.rows,
        "micro_batches": accumulation,
        "attention": trial.attention,
        "kernels": step.kernels,
        "compile_s": step.seconds,
        "computed_gib": {
            **{name: gib(size) for name, size in dataclasses.asdict(trial.memory).items()},
            "total": gib(trial.memory.total),
        },
        "compiled_gib": {
            "arguments": gib(step.arguments),
            "temporaries": gib(step.temporaries),
            "total": gib(step.peak),
        },
        "usable_gib": None if step.limit is None else gib(step.limit),
        "largest": list(step.largest),
        "evaluation": evaluation,
        "collectives": [
            {
                "kind": one.kind,
                "axes": list(one.axes),
                "count": one.count,
                "gib": round(one.bytes / _GIB, 3),
                "gib_between_slices": round(one.slow_bytes / _GIB, 3),
            }
            for one in step.collectives
        ],
        "tokens_per_step": trial.work.tokens,
        "flops_per_step": trial.work.flops,
        "recomputed_flops_per_step": trial.work.recomputed_flops,
        "steps": trial.num_steps,
    }
    if step.fits:
        record["least"] = {
            **dataclasses.asdict(estimate),
            "step_s": estimate.step_s,
            "bound_by": estimate.bound_by,
        }
        record["mfu"] = mfu
        if trial.num_steps:
            hours = run_hours(trial.work, estimate, topology, num_steps=trial.num_steps, mfu=mfu)
            record["least"]["hours"] = estimate.step_s * trial.num_steps / 3600
            record["hours"], record["chip_hours"] = hours, hours * topology.chips
    if found is not None:
        record["search"] = [
            {
                "mesh": one.mesh,
                "remat": one.remat,
                "peak_gib_per_chip": round(one.gib, 3),
                "step_s": one.estimate.step_s,
                "bound_by": one.estimate.bound_by,
            }
            for one in found
        ]
    return record


def evaluation_record(
    trial: DecodeTrial, topology: Topology, *, tried: Sequence[Attempt] = ()
) -> dict[str, Any]:
    """What `jaxllm plan --json` prints of a config of `jaxllm evaluate`."""
    assert trial.evaluation is not None
    evaluation = _evaluation(trial.evaluation, topology)
    return {
        "fits": evaluation["fits"],
        "chips": topology.chips,
        "peak_gib_per_chip": evaluation["peak_gib_per_chip"],
        "hbm_gib_per_chip": topology.chip.hbm_gib,
        "advice": advice_lines(tried),
        **_place(topology),
        "mesh": trial.mesh,
        "num_params": trial.num_params,
        "attention": trial.attention,
        "weights_gib": round(trial.counted * topology.chip.devices / _GIB, 3),
        "evaluation": evaluation,
    }


def _place(topology: Topology) -> dict[str, Any]:
    return {
        "topology": topology.name,
        "accelerator_type": topology.accelerator_type,
        "num_slices": topology.num_slices,
    }


def _evaluation(evaluation: Evaluation, topology: Topology) -> dict[str, Any]:
    """What evaluation takes while what is held stays where it is."""
    devices = topology.chip.devices
    return {
        "fits": evaluation.fits(topology),
        "peak_gib_per_chip": round(evaluation.peak * devices / _GIB, 3),
        "rows": evaluation.rows,
        "cache_gib": round(evaluation.cache * devices / _GIB, 3),
        "programs": {
            name: {
                "peak_gib": round(program.peak * devices / _GIB, 3),
                "temporaries_gib": round(program.temporaries * devices / _GIB, 3),
                "kernels": program.kernels,
                "compile_s": program.seconds,
            }
            for name, program in evaluation.programs.items()
        },
    }
