"""The process that compiles: `python -m jaxllm.planning.worker FOLDER`.

FOLDER holds `job.json` and the configs that it names; `reply.json` appears in it. JAX finds no TPU
and must not look for one, which the environment says before it starts: see `process.py`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.config import load_config
from jaxllm.errors import UserError
from jaxllm.models.attention import attention_backend
from jaxllm.models.decoder import num_params
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.planning.compiled import Compiled, compile_program
from jaxllm.planning.evaluation import compile_evaluation, decoding_weights
from jaxllm.planning.memory import Memory, count_memory, device_bytes
from jaxllm.planning.process import JOB, REPLY, Job
from jaxllm.planning.programs import (
    TrainCall,
    evaluated_model,
    placed_params,
    planned_model,
    read_facts,
    train_call,
)
from jaxllm.planning.topology import Topology, parse_topology
from jaxllm.planning.trial import DecodeTrial, Trial
from jaxllm.planning.work import count_work

_DECODING = ("generate", "judge", "score")  # evaluators that ask the engine


def make_trial(config: ConfigDict, job: Job) -> Trial:
    """Counts and compiles what `job` asks for, of a config of `jaxllm train`."""
    topology = parse_topology(job.topology, job.num_slices)
    mesh = make_mesh(MeshShape(**config.mesh), topology_devices(topology))
    model = planned_model(config)
    facts = read_facts(config, mesh, from_data=job.read_data)
    call = train_call(config, model, mesh, facts)
    memory = count_memory(call, model, mesh)
    with jax.set_mesh(mesh):
        attention = attention_backend(model)
    step, evaluation = None, None
    if job.compiles and (job.always or _may_fit(memory, topology)):
        step = _compile_step(call, mesh, topology, attention)
        if job.evaluation and step.fits and _decodes(config):
            evaluation = compile_evaluation(model, mesh, memory.state, topology)
    _, rows, _ = call.batch["tokens"].shape
    return Trial(
        mesh=dict(mesh.shape),
        num_params=num_params(model),
        rows=rows // (mesh.shape["data"] * mesh.shape["fsdp"]),
        attention=attention,
        memory=memory,
        work=count_work(call, model, memory, mesh),
        step=step,
        evaluation=evaluation,
        num_steps=facts.num_steps,
    )


def make_decode_trial(config: ConfigDict, job: Job) -> DecodeTrial:
    """Counts and compiles what `job` asks for, of a config of `jaxllm evaluate`."""
    if not _decodes(config):
        raise UserError(
            f"config.evals has no entry that decodes ({', '.join(_DECODING)}): nothing to compile"
        )
    topology = parse_topology(job.topology, job.num_slices)
    mesh = make_mesh(MeshShape(**config.mesh), topology_devices(topology))
    model = evaluated_model(config, job.model)
    held = device_bytes(placed_params(model, mesh))
    weights = decoding_weights(model, mesh)
    counted = held + weights.made + weights.layers
    may_fit = counted * topology.chip.devices <= topology.chip.hbm_gib * 2**30
    longest = max(int(entry.get("max_new_tokens", 0)) for entry in config.evals.values())
    with jax.set_mesh(mesh):
        attention = attention_backend(model)
    return DecodeTrial(
        mesh=dict(mesh.shape),
        num_params=num_params(model),
        attention=attention,
        counted=counted,
        evaluation=compile_evaluation(model, mesh, held, topology, answer=longest)
        if job.compiles and (job.always or may_fit)
        else None,
    )


def topology_devices(topology: Topology) -> list[Any]:
    """Devices that programs can be compiled for and that cannot run any."""
    options: dict[str, Any] = {}
    if topology.num_slices > 1:
        options["num_slices"] = topology.num_slices
    if topology.chip.name == "v4":
        options["chip_config_name"] = "megacore"  # one device a chip, as Cloud TPU sets it up
    if topology.shape == (1, 1):
        options["chips_per_host_bounds"] = [1, 1, 1]
    description = topologies.get_topology_desc(
        platform="tpu", topology_name=topology.name, **options
    )
    return list(description.devices)


def _decodes(config: ConfigDict) -> bool:
    return any(entry.get("type") in _DECODING for entry in config.evals.values())


def _may_fit(memory: Memory, topology: Topology) -> bool:
    """Whether what lies there between steps leaves anything for a step."""
    return memory.state * topology.chip.devices < topology.chip.hbm_gib * 2**30


def _compile_step(call: TrainCall, mesh: Mesh, topology: Topology, attention: str) -> Compiled:
    with jax.set_mesh(mesh):
        lowered = call.step.lower(call.state, call.frozen, call.batch)
        step = compile_program(lowered, mesh, topology.num_slices)
    if step.fits and attention == "splash" and not step.kernels:
        raise RuntimeError("the step was compiled without the splash kernel that it was to hold")
    return step


def main(folder: str) -> None:
    """Does the job that lies in `folder`."""
    place = Path(folder)
    fields = json.loads((place / JOB).read_text())
    names, job = fields.pop("configs"), Job(**fields)
    answers: list[dict[str, Any]] = []
    for name in names:
        config = load_config(place / name)
        make = make_trial if "optimizer" in config else make_decode_trial
        try:
            answers.append({"trial": dataclasses.asdict(make(config, job))})
        except UserError as error:
            answers.append({"error": str(error)})
    (place / REPLY).write_text(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
