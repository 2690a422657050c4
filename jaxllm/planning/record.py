"""A plan as one JSON object."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxllm.planning.advice import Attempt, advice_lines
from jaxllm.planning.estimate import estimate_step, run_hours
from jaxllm.planning.search import Candidate
from jaxllm.planning.topology import Topology
from jaxllm.planning.trial import Trial

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
    evaluation = _evaluation(trial, topology)
    record: dict[str, Any] = {
        "fits": step.fits and (evaluation is None or evaluation["fits"]),
        "chips": topology.chips,
        "peak_gib_per_chip": gib(step.peak),
        "hbm_gib_per_chip": chip.hbm_gib,
        "advice": advice_lines(tried),
        "topology": topology.name,
        "accelerator_type": topology.accelerator_type,
        "num_slices": topology.num_slices,
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


def _evaluation(trial: Trial, topology: Topology) -> dict[str, Any] | None:
    """What evaluation takes while the train state stays where it is."""
    evaluation, devices = trial.evaluation, topology.chip.devices
    if evaluation is None:
        return None
    largest = max(program.peak for program in evaluation.programs.values())
    peak = (trial.memory.state + evaluation.second_copy + largest) * devices / _GIB
    is_compiled = all(program.fits for program in evaluation.programs.values())
    return {
        "fits": is_compiled and peak <= topology.chip.hbm_gib,
        "peak_gib_per_chip": round(peak, 3),
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
