"""The programs of evaluators that decode: the engine's, with rows that fit beside what is there."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax.sharding import Mesh

from jaxllm.decode.programs import ProgramSizes, lower_programs
from jaxllm.models.config import ModelConfig
from jaxllm.planning.compiled import compile_program
from jaxllm.planning.memory import device_bytes
from jaxllm.planning.programs import placed_params
from jaxllm.planning.topology import Topology
from jaxllm.planning.trial import Evaluation

# A four-shot question of llm-jp-eval: what all share, what is its own, and the answer.
_PREFIX, _PROMPT, _ANSWER = 1024, 512, 256
# As the engine chooses (see `jaxllm.decode.runtime`): rows at most, and of free memory the share.
_MOST_ROWS, _SHARE = 256, 0.6


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingWeights:
    """Bytes of a device for the weights that the engine reads.

    Attributes:
      read: by its programs.
      made: of these, what is not there already: all in another dtype, or adapters merged.
      layers: once more, one by one.
    """

    read: int
    made: int
    layers: int


def decoding_weights(model: ModelConfig, mesh: Mesh) -> DecodingWeights:
    """Those of a model whose weights lie on `mesh` in its `param_dtype`."""
    plain = _merged(model)
    params = placed_params(plain, mesh)
    read = device_bytes(params)
    made = 0 if plain == model else read
    return DecodingWeights(read=read, made=made, layers=device_bytes(params["blocks"]))


def compile_evaluation(
    model: ModelConfig, mesh: Mesh, held: int, topology: Topology, *, answer: int = 0
) -> Evaluation:
    """The engine's prefill and decode step, with as many rows as it would take.

    Args:
        held: bytes of a device that stay where they are, the model's weights among them.
        answer: tokens of the longest one; 0 takes that of a four-shot question.
    """
    plain = _merged(model)
    weights = decoding_weights(model, mesh)
    longest = plain.max_positions
    prefix, prompt, answer = (
        min(size, longest // part)
        for size, part in ((_PREFIX, 2), (_PROMPT, 4), (answer or _ANSWER, 4))
    )
    heads_split = mesh.shape["tensor"] if plain.num_kv_heads % mesh.shape["tensor"] == 0 else 1
    per_key = 2 * plain.num_layers * plain.num_kv_heads * plain.head_dim // heads_split
    per_key *= jnp.dtype(plain.dtype).itemsize
    room = topology.chip.hbm_gib * 2**30 / topology.chip.devices
    free = max(0.0, room - held - weights.made - weights.layers) * _SHARE
    splits = mesh.shape["data"] * mesh.shape["fsdp"]
    rows = max(1, min(_MOST_ROWS // splits, int(free / (per_key * (prompt + answer)))))
    sizes = ProgramSizes(
        rows=rows * splits, prompt_slots=prompt, ring_slots=answer, prefix_slots=prefix
    )
    return Evaluation(
        beside=held + weights.made - weights.read,
        rows=sizes.rows,
        cache=per_key * (rows * (prompt + answer) + 2 * prefix),
        second_copy=weights.layers,
        programs={
            name: compile_program(lowered, mesh, topology.num_slices)
            for name, lowered in lower_programs(plain, mesh, sizes).items()
        },
    )


def _merged(model: ModelConfig) -> ModelConfig:
    """The model that the engine decodes with, adapters merged."""
    return model.replace(lora=None, kernels="float", param_dtype=model.dtype)
