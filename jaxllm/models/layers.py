"""The decoder's layers as flax.nnx modules.

Each weight states its shape, logical axes and initializer in one line; shardings, the abstract
tree, restore targets, the weight-decay mask and the Hugging Face name check all follow from it.

Shape suffixes: B batch, T length, D hidden_size, F ffn_size, N heads, K key/value heads,
H head_dim.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxllm.models.config import ModelConfig
from jaxllm.models.int8 import quantize
from jaxllm.models.lora import lora_for
from jaxllm.models.products import linear_product
from jaxllm.models.rope import rotate

# attend(q_BTNH, k_BTKH, v_BTKH, cache) -> (o_BTNH, cache): training masks by segment and has no
# cache; decoding writes the new keys and values into it first.
Attend = Callable[[jax.Array, jax.Array, jax.Array, Any], tuple[jax.Array, Any]]
# pick([B, T, ...]) -> [B, Q, ...]: the positions whose output is wanted, where not all are.
Pick = Callable[[jax.Array], jax.Array]

_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
}


def weight(
    rngs: nnx.Rngs, shape: tuple[int, ...], axes: tuple[str, ...], std: float, dtype: str
) -> nnx.Param:
    """A weight drawn from a normal distribution, with the logical name of each dimension."""
    return nnx.Param(std * jax.random.normal(rngs.params(), shape, jnp.dtype(dtype)), axes=axes)


def constant(shape: tuple[int, ...], axes: tuple[str, ...], value: float, dtype: str) -> nnx.Param:
    """A weight that starts at one value (norm scales at 1, biases at 0)."""
    return nnx.Param(jnp.full(shape, value, jnp.dtype(dtype)), axes=axes)


class Linear(nnx.Module):
    """`x @ kernel (+ bias, + adapter)` in the compute dtype, accumulated in float32.

    `name` is what adapters call the layer. An 8-bit kernel is multiplied by its outputs' factors
    after the product, so that it is never whole in memory as floats.
    """

    def __init__(
        self,
        config: ModelConfig,
        rngs: nnx.Rngs,
        name: str,
        *,
        shape: tuple[int, int],
        axes: tuple[str, str],
        bias: bool,
        std: float,
    ) -> None:
        self.dtype = config.dtype
        kernel = weight(rngs, shape, axes, std, config.param_dtype)
        if config.kernels == "int8" and name != "head":
            values, scale = quantize(kernel[...])
            self.kernel, self.kernel_scale = kernel.replace(values), nnx.Param(scale, axes=axes[1:])
        else:
            self.kernel, self.kernel_scale = kernel, None
        self.bias = constant(shape[1:], axes[1:], 0.0, config.param_dtype) if bias else None
        self.lora = lora_for(config, rngs, name, shape=shape, axes=axes)

    def __call__(self, x: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        y = linear_product(x, self.kernel[...])
        if self.kernel_scale is not None:
            y = y * self.kernel_scale[...].astype(jnp.float32)
        if self.bias is not None:
            y = y + self.bias[...].astype(jnp.float32)
        if self.lora is not None:
            y = y + self.lora(x, dropout_key)
        return y.astype(self.dtype)


class Norm(nnx.Module):
    """RMSNorm (arXiv 1910.07467) or LayerNorm over the last dimension, computed in float32."""

    def __init__(self, config: ModelConfig, size: int, *, kind: str) -> None:
        self.eps, self.kind, self.dtype = config.norm_eps, kind, config.dtype
        self.scale = constant((size,), ("norm",), 1.0, config.param_dtype)
        has_bias, dtype = kind == "layer", config.param_dtype
        self.bias = constant((size,), ("norm",), 0.0, dtype) if has_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.astype(jnp.float32)
        if self.kind == "layer":
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.eps)
        y = x * self.scale[...].astype(jnp.float32)
        if self.bias is not None:
            y = y + self.bias[...].astype(jnp.float32)
        return y.astype(self.dtype)


class Attention(nnx.Module):
    """Grouped-query self-attention (arXiv 2305.13245) with rotary or no position rotation."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.head_dim = config.head_dim
        hidden = config.hidden_size
        heads, kv_heads = config.num_heads * self.head_dim, config.num_kv_heads * self.head_dim
        inputs: dict[str, Any] = {"bias": config.qkv_bias, "std": config.init_std}
        narrow = inputs | {"shape": (hidden, kv_heads), "axes": ("embed", "kv_heads")}
        wide = inputs | {"shape": (hidden, heads), "axes": ("embed", "heads")}
        self.query = Linear(config, rngs, "attention.query", **wide)
        self.key = Linear(config, rngs, "attention.key", **narrow)
        self.value = Linear(config, rngs, "attention.value", **narrow)
        self.sizes = (heads, kv_heads, kv_heads)
        all_three = (hidden, sum(self.sizes))
        self.lora = lora_for(
            config, rngs, "attention.qkv", shape=all_three, axes=("embed", "kv_heads")
        )
        self.out = Linear(
            config,
            rngs,
            "attention.out",
            shape=(heads, hidden),
            axes=("heads", "embed"),
            bias=config.out_bias,
            std=_residual_std(config),
        )
        if config.qk_norm:
            self.query_norm = Norm(config, self.head_dim, kind="rms")
            self.key_norm = Norm(config, self.head_dim, kind="rms")
        self.qk_norm = config.qk_norm

    def __call__(
        self,
        x_BTD: jax.Array,
        rope: tuple[jax.Array, jax.Array] | None,
        attend: Attend,
        cache: Any,
        pick: Pick | None = None,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        asking_BQD = x_BTD if pick is None else pick(x_BTD)
        keys = _split(dropout_key, 5)
        q = self.query(asking_BQD, keys[0])
        k, v = self.key(x_BTD, keys[1]), self.value(x_BTD, keys[2])
        if self.lora is not None:
            ends = (self.sizes[0], sum(self.sizes[:2]))
            more = jnp.split(self.lora(x_BTD, keys[3]).astype(k.dtype), ends, axis=-1)
            q, k, v = q + (more[0] if pick is None else pick(more[0])), k + more[1], v + more[2]
        q, k, v = (x.reshape(*x.shape[:2], -1, self.head_dim) for x in (q, k, v))
        if self.qk_norm:
            q, k = self.query_norm(q), self.key_norm(k)
        if rope is not None:
            asking = rope if pick is None else (pick(rope[0]), pick(rope[1]))
            q, k = rotate(q, asking), rotate(k, rope)
        out_BQNH, cache = attend(q, k, v, cache)
        return self.out(out_BQNH.reshape(*asking_BQD.shape[:2], -1), keys[4]), cache


class MLP(nnx.Module):
    """A gated (SwiGLU, arXiv 2002.05202) or plain two-layer feed-forward block."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        hidden, ffn, bias = config.hidden_size, config.ffn_size, config.mlp_bias
        wide: dict[str, Any] = {"shape": (hidden, ffn), "axes": ("embed", "ffn"), "bias": bias}
        self.up = Linear(config, rngs, "mlp.up", **wide, std=config.init_std)
        self.down = Linear(
            config,
            rngs,
            "mlp.down",
            shape=(ffn, hidden),
            axes=("ffn", "embed"),
            bias=bias,
            std=_residual_std(config),
        )
        gate = functools.partial(Linear, config, rngs, "mlp.gate", **wide, std=config.init_std)
        self.gate = gate() if config.gated_mlp else None
        self.activation = config.activation

    def __call__(self, x_BTD: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        activate, keys = _ACTIVATIONS[self.activation], _split(dropout_key, 3)
        up = self.up(x_BTD, keys[0])
        hidden = activate(up) if self.gate is None else activate(self.gate(x_BTD, keys[1])) * up
        return self.down(hidden, keys[2])


class Block(nnx.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.attention_norm = Norm(config, config.hidden_size, kind=config.norm)
        self.attention = Attention(config, rngs)
        self.mlp_norm = Norm(config, config.hidden_size, kind=config.norm)
        self.mlp = MLP(config, rngs)

    def __call__(
        self,
        x_BTD: jax.Array,
        rope: tuple[jax.Array, jax.Array] | None,
        attend: Attend,
        cache: Any = None,
        pick: Pick | None = None,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        keys = _split(dropout_key, 2)
        normed_BTD = self.attention_norm(x_BTD)
        mixed, cache = self.attention(normed_BTD, rope, attend, cache, pick, keys[0])
        x_BQD = (x_BTD if pick is None else pick(x_BTD)) + mixed
        return x_BQD + self.mlp(self.mlp_norm(x_BQD), keys[1]), cache


class Embedding(nnx.Module):
    """Token embeddings, and learned position embeddings where the architecture has them."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        std, dtype, hidden = config.init_std, config.param_dtype, config.hidden_size
        self.tokens = weight(rngs, (config.vocab_size, hidden), ("vocab", "embed"), std, dtype)
        if config.positions == "learned":
            self.positions = weight(
                rngs, (config.max_positions, hidden), ("positions", "embed"), std, dtype
            )
        self.learned, self.dtype = config.positions == "learned", config.dtype
        shape = (config.vocab_size, hidden)
        self.lora = lora_for(config, rngs, "embed", shape=shape, axes=("vocab", "embed"))

    def __call__(self, tokens_BT: jax.Array, positions_BT: jax.Array) -> jax.Array:
        x_BTD = jnp.take(self.tokens[...], tokens_BT, axis=0).astype(self.dtype)
        if self.lora is not None:
            x_BTD = x_BTD + self.lora.rows(tokens_BT).astype(self.dtype)
        if self.learned:
            x_BTD = x_BTD + jnp.take(self.positions[...], positions_BT, axis=0).astype(self.dtype)
        return x_BTD


def _split(key: jax.Array | None, count: int) -> list[jax.Array | None]:
    return [None] * count if key is None else list(jax.random.split(key, count))


def _residual_std(config: ModelConfig) -> float:
    # GPT-2's rule: projections that write to the residual stream shrink with depth.
    return config.init_std / (2 * config.num_layers) ** 0.5
