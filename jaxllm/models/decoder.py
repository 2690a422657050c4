"""The one decoder: Llama, Qwen and GPT-2 are settings of it.

At every jit boundary a model is a plain nested dict of arrays:

    embed.tokens [V, D], embed.positions [P, D]           learned positions only
    blocks.*     [num_layers, ...]                        every layer's weights, stacked
    final_norm.scale [D], final_norm.bias [D]             bias with LayerNorm only
    head.kernel  [D, V]                                   untied models only
    *.lora       adapters (jaxllm.models.lora)            tuned by LoRA only

The nnx modules of `layers.py` are merged around those arrays inside a trace and never cross it.

Shape suffixes: B batch, T length, D hidden_size, V vocab_size, P max_positions.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxllm.models.attention import causal_attention
from jaxllm.models.block_attention import RESULTS
from jaxllm.models.config import ModelConfig
from jaxllm.models.layers import Attend, Block, Embedding, Linear, Norm, Pick
from jaxllm.models.lora import low_rank_product, merged
from jaxllm.models.rope import rotary_tables
from jaxllm.parallel.rules import constrain

Params = dict[str, Any]

_REMAT_POLICIES = {
    "dots": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
        jax.checkpoint_policies.save_only_these_names(RESULTS),
    ),
    "full": None,
}


def forward(
    params: Params,
    config: ModelConfig,
    tokens_BT: jax.Array,
    positions_BT: jax.Array,
    segment_ids_BT: jax.Array,
    dropout_key: jax.Array | None = None,
) -> jax.Array:
    """Hidden states after the final norm, [B, T, D] in `config.dtype`.

    Positions attend causally within their own segment; segment 0 is padding. `project_logits`
    turns hidden states into logits, where they are wanted. With a key, adapters drop some of what
    they read, as in training.
    """
    x_BTD = constrain(embed(params, config, tokens_BT, positions_BT), "batch", "length", "features")
    rope = rope_for(config, positions_BT)

    def attend(q, k, v, cache):
        return causal_attention(config, q, k, v, segment_ids_BT), cache

    def layer(x_BTD, block_and_key):
        block, key = block_and_key
        x_BTD, _ = apply_block(block, config, x_BTD, rope, attend, dropout_key=key)
        return constrain(x_BTD, "batch", "length", "features"), None

    if config.remat != "none":
        layer = jax.checkpoint(layer, policy=_REMAT_POLICIES[config.remat], prevent_cse=False)
    keys = None if dropout_key is None else jax.random.split(dropout_key, config.num_layers)
    x_BTD, _ = jax.lax.scan(layer, x_BTD, (params["blocks"], keys), unroll=config.scan_unroll)
    return final_norm(params, config, x_BTD)


def project_logits(params: Params, config: ModelConfig, hidden: jax.Array) -> jax.Array:
    """Logits in float32, [..., D] -> [..., V]."""
    kernel = _plain_head(params, config).astype(config.dtype)
    logits = jnp.dot(hidden, kernel, preferred_element_type=jnp.float32)
    if config.lora is not None and "head" in config.lora.targets:
        adapter = params["head"]["lora"]
        logits += config.lora.scale * low_rank_product(hidden, **adapter, dtype=config.dtype)
    return logits


def head_kernel(params: Params, config: ModelConfig) -> jax.Array:
    """The output projection [D, V]: its own weight or the embedding transposed, with adapter."""
    if config.lora is not None and "head" in config.lora.targets:
        return merged({"head": params["head"]}, config.lora)["head"]["kernel"]
    return _plain_head(params, config)


def _plain_head(params: Params, config: ModelConfig) -> jax.Array:
    return params["embed"]["tokens"].T if config.tie_embeddings else params["head"]["kernel"]


def embed(
    params: Params, config: ModelConfig, tokens_BT: jax.Array, positions_BT: jax.Array
) -> jax.Array:
    """Token (and learned position) embeddings, [B, T, D]."""
    return nnx.merge(_parts(config)["embed"], nnx.State(params["embed"]))(tokens_BT, positions_BT)


def rope_for(config: ModelConfig, positions_BT: jax.Array) -> tuple[jax.Array, jax.Array] | None:
    """Rotary tables shared by every layer, or None where positions are learned."""
    return rotary_tables(config, positions_BT) if config.positions == "rope" else None


def apply_block(
    block: Params,
    config: ModelConfig,
    x_BTD: jax.Array,
    rope: tuple[jax.Array, jax.Array] | None,
    attend: Attend,
    cache: Any = None,
    pick: Pick | None = None,
    dropout_key: jax.Array | None = None,
) -> tuple[jax.Array, Any]:
    """One layer with weights `block` (no layer axis); returns ([B, T, D], cache).

    With `pick` only the positions it takes are queries, and only theirs come back; `attend` gets
    the keys and values of all.
    """
    layer = nnx.merge(_parts(config)["blocks"], nnx.State(block))
    return layer(x_BTD, rope, attend, cache, pick, dropout_key)


def final_norm(params: Params, config: ModelConfig, x_BTD: jax.Array) -> jax.Array:
    """The norm before the output projection."""
    return nnx.merge(_parts(config)["final_norm"], nnx.State(params["final_norm"]))(x_BTD)


def init_params(config: ModelConfig, key: jax.Array) -> Params:
    """Fresh weights. Jit it with `out_shardings` and they are born sharded."""
    keys = dict(zip(_builders(config), jax.random.split(key, 4), strict=False))

    def one(name: str, key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(_builders(config)[name](nnx.Rngs(params=key))))

    params = {name: one(name, key) for name, key in keys.items() if name != "blocks"}
    layer_keys = jax.random.split(keys["blocks"], config.num_layers)
    params["blocks"] = jax.vmap(functools.partial(one, "blocks"))(layer_keys)
    return params


@functools.lru_cache(maxsize=64)
def abstract_params(config: ModelConfig) -> Params:
    """The tree of `init_params` as `jax.ShapeDtypeStruct`s; costs no memory at any size."""
    return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


@functools.lru_cache(maxsize=64)
def logical_axes(config: ModelConfig) -> Params:
    """The tree of `init_params` with a tuple of logical axis names in place of each weight."""
    tree: Params = {}
    for name, build in _builders(config).items():
        state = nnx.state(nnx.eval_shape(lambda build=build: build(nnx.Rngs(0))))
        stacked = ("layers",) if name == "blocks" else ()
        tree[name] = nnx.to_pure_dict(
            jax.tree.map(
                lambda leaf, stacked=stacked: leaf.replace((*stacked, *leaf.get_metadata("axes"))),
                state,
                is_leaf=lambda leaf: isinstance(leaf, nnx.Variable),
            )
        )
    return tree


def num_params(config: ModelConfig) -> int:
    """Number of weights, embeddings included."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract_params(config)))


def _builders(config: ModelConfig) -> dict[str, Any]:
    parts = {
        "embed": lambda rngs: Embedding(config, rngs),
        "blocks": lambda rngs: Block(config, rngs),
        "final_norm": lambda rngs: Norm(config, config.hidden_size, kind=config.norm),
    }
    if not config.tie_embeddings:
        parts["head"] = lambda rngs: Linear(
            config,
            rngs,
            "head",
            shape=(config.hidden_size, config.vocab_size),
            axes=("embed", "vocab"),
            bias=False,
            std=config.init_std,
        )
    return parts


@functools.lru_cache(maxsize=64)
def _parts(config: ModelConfig) -> dict[str, nnx.GraphDef]:
    return {
        name: nnx.graphdef(nnx.eval_shape(lambda build=build: build(nnx.Rngs(0))))
        for name, build in _builders(config).items()
    }
