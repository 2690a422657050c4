"""Adapters: what they add, where they are, and that merging them changes nothing."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models.config import LoraConfig
from jaxllm.models.decoder import (
    abstract_params,
    forward,
    head_kernel,
    init_params,
    logical_axes,
    project_logits,
)
from jaxllm.models.int8 import quantize, quantize_blocks
from jaxllm.models.lora import is_adapter, lora_path, merged
from jaxllm.models.partition import combine, leaf_names, partition

_ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.out")
_LAYERS = (*_ATTENTION, "mlp.gate", "mlp.up", "mlp.down")
_GPT2 = {"positions": "learned", "norm": "layer", "activation": "gelu", "gated_mlp": False}
_GPT2 |= {"qkv_bias": True, "out_bias": True, "mlp_bias": True, "num_kv_heads": 4}
_FUSED = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")


def _config(tiny_config, targets=_LAYERS, **changes):
    lora = LoraConfig(rank=4, alpha=6.0, targets=targets, dropout=0.5)
    return tiny_config.replace(lora=lora, **changes)


@functools.cache
def _params(config):
    """Fresh weights whose adapters are not zero."""
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    adapters, rest = partition(params, is_adapter)
    return combine(
        jax.tree.map(lambda w: 0.1 * jax.random.normal(jax.random.key(1), w.shape), adapters), rest
    )


def _logits(params, config, key=None):
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, config.vocab_size, (2, 12)))
    positions = jnp.broadcast_to(jnp.arange(12), (2, 12))

    @functools.partial(jax.jit, static_argnums=1)
    def run(params, config):
        hidden = forward(params, config, tokens, positions, jnp.ones_like(tokens), key)
        by_kernel = jnp.dot(hidden, head_kernel(params, config).astype(config.dtype))
        return project_logits(params, config, hidden), by_kernel

    logits, by_kernel = run(params, config)
    np.testing.assert_allclose(logits, by_kernel, atol=1e-3)
    return logits


@pytest.mark.parametrize(
    "targets, changes",
    [(_LAYERS, {}), (("embed", "head", "mlp.up"), {}), (_FUSED, _GPT2)],
    ids=["llama", "embeddings and head", "gpt2"],
)
def test_merged_weights_compute_the_same(tiny_config, targets, changes):
    config = _config(tiny_config, targets, **changes)
    params = _params(config)
    plain = config.replace(lora=None)
    whole = merged(params, config.lora)
    assert leaf_names(whole) == leaf_names(abstract_params(plain))
    adapted = _logits(params, config)
    np.testing.assert_allclose(_logits(whole, plain), adapted, atol=1e-3)
    base = partition(params, is_adapter)[1]
    assert np.abs(_logits(base, plain) - adapted).max() > 0.1


def test_each_target_has_its_place_and_its_axes(tiny_config):
    for target in (*_LAYERS, "attention.qkv", "embed", "head"):
        config = _config(tiny_config, (target,))
        params, axes = abstract_params(config), logical_axes(config)
        names = [name for name in leaf_names(params) if is_adapter(name)]
        assert names == [".".join((*lora_path(target), part)) for part in "ab"]
        adapters, axes = partition(params, is_adapter)[0], partition(axes, is_adapter)[0]
        for leaf, named in zip(jax.tree.leaves(adapters), _leaves(axes), strict=True):
            assert leaf.dtype == "float32"
            assert leaf.ndim == len(named)
            assert leaf.shape[named.index("rank")] == 4


def _leaves(axes):
    return jax.tree.leaves(axes, is_leaf=lambda node: isinstance(node, tuple))


@pytest.mark.parametrize("targets", [_LAYERS, ("embed", "head"), ("attention.qkv",)])
def test_adapters_are_born_without_effect_on_the_same_base(tiny_config, tiny_params, targets):
    config = _config(tiny_config, targets)
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    adapters, _ = partition(params, is_adapter)
    moved = {name: bool(np.any(leaf)) for name, leaf in
             zip(leaf_names(adapters), jax.tree.leaves(adapters), strict=True)}  # fmt: skip
    assert moved == {name: name.endswith("b" if "embed" in name else "a") for name in moved}
    with_them = _logits(combine(adapters, tiny_params), config)
    np.testing.assert_allclose(with_them, _logits(tiny_params, tiny_config), atol=1e-5)


def test_scales():
    lora = {"rank": 16, "alpha": 8.0, "targets": ()}
    assert LoraConfig(**lora).scale == 0.5
    assert LoraConfig(**lora, rslora=True).scale == 2.0


def test_dropout_needs_a_key_and_keeps_the_mean(tiny_config):
    config = _config(tiny_config, ("mlp.down",))
    params = _params(config)
    plain = _logits(params, config)
    dropped = [_logits(params, config, jax.random.key(n)) for n in range(2)]
    assert np.abs(dropped[0] - plain).max() > 1e-2
    assert np.abs(dropped[0] - dropped[1]).max() > 1e-2
    np.testing.assert_array_equal(dropped[0], _logits(params, config, jax.random.key(0)))
    # With nothing adapted the key drops nothing.
    config = _config(tiny_config, ())
    params = _params(config)
    np.testing.assert_array_equal(
        _logits(params, config), _logits(params, config, jax.random.key(0))
    )


def test_eight_bits_round_to_the_nearest_step():
    kernel = jax.random.normal(jax.random.key(0), (3, 40, 20)).at[:, :, 3].set(0)
    values, scale = quantize(kernel)
    assert (values.dtype, scale.shape) == (jnp.int8, (3, 20))
    assert np.abs(np.asarray(values, np.int32)).max(axis=1)[:, :3].min() == 127
    error = np.abs(values * scale[:, None] - kernel)
    assert np.all(error <= 0.5001 * scale[:, None])


def test_an_eight_bit_base_computes_nearly_the_same(tiny_config):
    config = _config(tiny_config)
    params = _params(config)
    small = config.replace(kernels="int8")
    quantized = quantize_blocks(jax.tree.map(lambda leaf: leaf, params))
    wanted = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), abstract_params(small))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), quantized) == wanted
    assert quantized["blocks"]["mlp"]["up"]["kernel"].dtype == jnp.int8
    found, exact = _logits(quantized, small), _logits(params, config)
    off = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert 1e-4 < off < 0.05
    # Born in eight bits, as a fresh model is.
    born = jax.jit(init_params, static_argnums=0)(small, jax.random.key(0))
    assert np.abs(np.asarray(born["blocks"]["mlp"]["up"]["kernel"], np.int32)).max() == 127
