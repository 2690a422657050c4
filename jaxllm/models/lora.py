"""LoRA: low-rank adapters on linear layers and embeddings, and the sum that merges them.

An adapter is two weights, `a` [in, rank] and `b` [rank, out], under `lora` beside the kernel it
adapts: `blocks.mlp.up.lora.a`. They are float32 whatever the base is kept in.

Shape suffixes: I in, O out, R rank.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxllm.models.config import LoraConfig, ModelConfig
from jaxllm.models.partition import partition
from jaxllm.models.products import linear_product

_DTYPE = "float32"
_LORA = "lora"


class Lora(nnx.Module):
    """What an adapter adds to a linear layer's output; nothing, before it is trained."""

    def __init__(
        self,
        config: LoraConfig,
        rngs: nnx.Rngs,
        *,
        shape: tuple[int, int],
        axes: tuple[str, str],
        dtype: str,
    ) -> None:
        self.scale, self.dropout, self.dtype = config.scale, config.dropout, dtype
        size_in, size_out = shape
        a, b = (size_in, config.rank), (config.rank, size_out)
        # As PEFT begins: of the two one is zero, for embeddings the first.
        if axes[0] == "vocab":
            start = jnp.zeros(a, _DTYPE), jax.random.normal(rngs.params(), b, _DTYPE)
        else:
            bound = size_in**-0.5
            drawn = jax.random.uniform(rngs.params(), a, _DTYPE, -bound, bound)
            start = drawn, jnp.zeros(b, _DTYPE)
        self.a = nnx.Param(start[0], axes=(axes[0], "rank"))
        self.b = nnx.Param(start[1], axes=("rank", axes[1]))

    def __call__(self, x: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        """scale dropout(x) A B in float32, [..., O]; without a key nothing is dropped."""
        if dropout_key is not None and self.dropout:
            kept = jax.random.bernoulli(dropout_key, 1 - self.dropout, x.shape)
            x = jnp.where(kept, x / (1 - self.dropout), 0).astype(x.dtype)
        return self.scale * low_rank_product(x, self.a[...], self.b[...], self.dtype)

    def rows(self, ids: jax.Array) -> jax.Array:
        """What is added to the rows `ids` of an embedding, float32 [..., O]."""
        low = jnp.take(self.a[...], ids, axis=0)
        return self.scale * jnp.dot(low, self.b[...], preferred_element_type=jnp.float32)


def lora_for(
    config: ModelConfig,
    rngs: nnx.Rngs,
    target: str,
    *,
    shape: tuple[int, int],
    axes: tuple[str, str],
) -> Lora | None:
    """The adapter of a layer that `config.lora` names as a target, None for others."""
    if config.lora is None or target not in config.lora.targets:
        return None
    return Lora(config.lora, rngs, shape=shape, axes=axes, dtype=config.dtype)


def low_rank_product(x: jax.Array, a: jax.Array, b: jax.Array, dtype: str) -> jax.Array:
    """x A B with operands in `dtype`, float32 [..., O]."""
    return linear_product(linear_product(x, a).astype(dtype), b)


def is_adapter(name: str) -> bool:
    """Whether a weight's dotted name is one of an adapter's."""
    return _LORA in name.split(".")[:-1]


def lora_path(target: str) -> tuple[str, ...]:
    """Where the adapter of a target lies in the tree of weights."""
    if target in ("embed", "head"):
        return target, _LORA
    return "blocks", *(["attention"] if target == "attention.qkv" else target.split(".")), _LORA


def merge_into(params: dict[str, Any], adapters: dict[str, Any], lora: LoraConfig) -> None:
    """Adds adapters to the weights they adapt, each of which is replaced in `params`.

    Sums are formed in float32 and rounded once.
    """
    for key, child in adapters.items():
        if key != _LORA:
            merge_into(params[key], child, lora)
            continue
        name = next((name for name in ("kernel", "tokens") if name in params), None)
        if name is not None:
            params[name] = _sum(params[name], lora.scale, **child)
            continue
        start = 0
        for part in (params["query"], params["key"], params["value"]):
            stop = start + part["kernel"].shape[-1]
            part["kernel"] = _sum(
                part["kernel"], lora.scale, child["a"], child["b"][..., start:stop]
            )
            start = stop


def merged(params: dict[str, Any], lora: LoraConfig) -> dict[str, Any]:
    """The weights with every adapter added to what it adapts: the tree of the plain model."""
    adapters, base = partition(params, is_adapter)
    merge_into(base, adapters, lora)
    return base


@jax.jit
def _sum(kernel: jax.Array, scale: float, a: jax.Array, b: jax.Array) -> jax.Array:
    product = jnp.einsum("...IR,...RO->...IO", a, b, precision="highest")
    return (kernel.astype(_DTYPE) + scale * product).astype(kernel.dtype)
