"""Operations and bytes of a train step, on paper."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params
from jaxllm.models.partition import leaf_names
from jaxllm.observe.flops import attention_flops, logits_flops, matmul_flops_per_token
from jaxllm.planning.estimate import Work
from jaxllm.planning.memory import Memory, device_bytes
from jaxllm.planning.programs import TrainCall


def count_work(call: TrainCall, model: ModelConfig, memory: Memory, mesh: Mesh) -> Work:
    """What a step of `call` computes, every row taken as one sequence of its whole length."""
    accumulation, rows, length = call.batch["tokens"].shape
    num_rows = accumulation * rows
    tokens = num_rows * length
    layers = tokens * matmul_flops_per_token(model)
    logits = logits_flops(model, tokens)
    attention = attention_flops(model, [length] * num_rows)
    # Backward: once by the activations, and by the kernels as far as they are trained.
    share = _trained_share(call, model)
    flops = (2 + share) * (layers + logits) + 3 * attention
    recomputed = {
        "none": attention,  # fused kernels keep no scores
        "dots": attention,
        "full": layers + attention,
    }[model.remat]
    passes = 3 if model.remat == "full" else 2
    weights = _kernel_bytes(model) // mesh.shape["tensor"]
    trained = device_bytes(call.state["params"])
    moved = (
        accumulation * (passes * weights + 2 * memory.activations)
        + 2 * (trained + memory.optimizer)
        + 2 * memory.gradients * accumulation
    )
    return Work(
        tokens=tokens,
        flops=float(flops),
        recomputed_flops=float(recomputed),
        device_bytes=float(moved),
    )


def _kernel_bytes(model: ModelConfig) -> int:
    """Of all weights of the model in what it computes in."""
    itemsize = jnp.dtype(model.dtype).itemsize
    sizes = (math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract_params(model)))
    return sum(sizes) * itemsize


def _trained_share(call: TrainCall, model: ModelConfig) -> float:
    """The share of the kernels' numbers that are trained themselves."""
    params = abstract_params(model)
    sizes = {
        name: leaf.size
        for name, leaf in zip(leaf_names(params), jax.tree.leaves(params), strict=True)
        if name.endswith("kernel") or (name == "embed.tokens" and model.tie_embeddings)
    }
    trained = set(leaf_names(call.state["params"]))
    return sum(size for name, size in sizes.items() if name in trained) / sum(sizes.values())
