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
    low = jnp.dot(x, a.astype(dtype), preferred_element_type=jnp.float32)
    return jnp.dot(low.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def is_adapter(name: str) -> bool:
    """Whether a weight's dotted name is one of an adapter's."""
    return _LORA in name.split(".")[:-1]


def lora_path(target: str) -> tuple[str, ...]:
    """Where the adapter of a target lies in the tree of weights."""
    if target in ("embed", "head"):
        return target, _LORA
    return "blocks", *(["attention"] if target == "attention.qkv" else target.split(".")), _LORA


def merged(params: dict[str, Any], lora: LoraConfig) -> dict[str, Any]:
    """The weights with every adapter added to what it adapts: the tree of the plain model.

    Sums are formed in float32 and rounded once.
    """
    node = {
        key: merged(child, lora) if isinstance(child, dict) else child
        for key, child in params.items()
    }
    adapter = node.pop(_LORA, None)
    if adapter is None:
        return node
    for name in ("kernel", "tokens"):
        if name in node:
            return {**node, name: _sum(node[name], lora.scale, **adapter)}
    start = 0
    for part in ("query", "key", "value"):
        kernel = node[part]["kernel"]
        stop = start + kernel.shape[-1]
        share = {"a": adapter["a"], "b": adapter["b"][..., start:stop]}
        node[part] = {**node[part], "kernel": _sum(kernel, lora.scale, **share)}
        start = stop
    return node


@jax.jit
def _sum(kernel: jax.Array, scale: float, a: jax.Array, b: jax.Array) -> jax.Array:
    product = jnp.einsum("...IR,...RO->...IO", a, b, precision="highest")
    return (kernel.astype(_DTYPE) + scale * product).astype(kernel.dtype)
