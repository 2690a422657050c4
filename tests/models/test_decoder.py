"""The decoder: its tree, what it may look at, and settings that must not change values."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import (
    abstract_params,
    forward,
    head_kernel,
    init_params,
    logical_axes,
    num_params,
    project_logits,
)

FAMILIES = {
    "llama": {},
    "qwen2": {"qkv_bias": True, "tie_embeddings": True},
    "qwen3": {"qk_norm": True, "head_dim": 16},
    "gpt2": {
        "norm": "layer",
        "activation": "gelu",
        "gated_mlp": False,
        "positions": "learned",
        "qkv_bias": True,
        "out_bias": True,
        "mlp_bias": True,
        "tie_embeddings": True,
        "num_kv_heads": 4,
    },
}


@pytest.fixture(params=FAMILIES)
def config(request, tiny_config):
    return tiny_config.replace(**FAMILIES[request.param])


def _inputs(config, rows=2, length=12, seed=0):
    tokens = np.random.default_rng(seed).integers(0, config.vocab_size, (rows, length), np.int32)
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape)
    return tokens, positions, np.ones_like(tokens)


_init = jax.jit(init_params, static_argnums=0)


@functools.partial(jax.jit, static_argnums=1)
def _logits(params, config, tokens, positions, segments):
    return project_logits(params, config, forward(params, config, tokens, positions, segments))


def test_the_trees_of_weights_shapes_and_axes_agree(config):
    params = _init(config, jax.random.key(0))
    abstract = abstract_params(config)
    described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (params, abstract))
    assert described[0] == described[1]
    ranks = jax.tree.map(
        lambda axes, leaf: len(axes) == leaf.ndim,
        logical_axes(config),
        abstract,
        is_leaf=lambda node: isinstance(node, tuple),
    )
    assert all(jax.tree.leaves(ranks))
    assert num_params(config) == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_num_params_by_hand(tiny_config):
    # 2 x 400 x 32 for embedding and head; a layer: q and o 32 x 32, k and v 32 x 16, three 32 x 64
    # matrices and two norms; the last norm.
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32
    assert num_params(tiny_config) == 2 * 400 * 32 + 2 * layer + 32
    assert num_params(tiny_config.replace(tie_embeddings=True)) == 400 * 32 + 2 * layer + 32


def test_initial_weights_follow_the_seed_and_the_stated_deviations(tiny_config):
    config = tiny_config.replace(hidden_size=128, ffn_size=256, init_std=0.02)
    params = _init(config, jax.random.key(1))
    again = _init(config, jax.random.key(1))
    other = _init(config, jax.random.key(2))
    assert jax.tree.all(jax.tree.map(np.array_equal, params, again))
    blocks = params["blocks"]
    assert not np.array_equal(params["embed"]["tokens"], other["embed"]["tokens"])
    assert not np.array_equal(blocks["mlp"]["up"]["kernel"][0], blocks["mlp"]["up"]["kernel"][1])
    assert np.std(blocks["mlp"]["up"]["kernel"]) == pytest.approx(0.02, rel=0.05)
    # Projections into the residual stream: 0.02 / sqrt(2 * num_layers) with two layers.
    assert np.std(blocks["mlp"]["down"]["kernel"]) == pytest.approx(0.01, rel=0.05)
    assert np.std(blocks["attention"]["out"]["kernel"]) == pytest.approx(0.01, rel=0.05)
    assert np.all(params["final_norm"]["scale"] == 1)


def test_a_later_token_changes_nothing_before_it(config):
    params = _init(config, jax.random.key(0))
    tokens, positions, segments = _inputs(config)
    before = _logits(params, config, tokens, positions, segments)
    changed = tokens.copy()
    changed[:, 7] = (changed[:, 7] + 1) % config.vocab_size
    after = _logits(params, config, changed, positions, segments)
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.all(np.any(np.abs(before[:, 7:] - after[:, 7:]) > 1e-4, axis=-1))


def test_positions_matter(config):
    params = _init(config, jax.random.key(0))
    tokens, positions, segments = _inputs(config)
    straight = _logits(params, config, tokens, positions, segments)
    spread = _logits(params, config, tokens, positions * 3, segments)
    assert np.max(np.abs(straight[:, -1] - spread[:, -1])) > 1e-3


def test_padding_is_finite_and_seen_by_nobody(config):
    params = _init(config, jax.random.key(0))
    tokens, positions, segments = _inputs(config)
    alone = _logits(params, config, tokens, positions, segments)
    pad = ((0, 0), (0, 5))
    padded = _logits(
        params, config, np.pad(tokens, pad), np.pad(positions, pad), np.pad(segments, pad)
    )
    assert np.all(np.isfinite(padded))
    np.testing.assert_allclose(padded[:, :12], alone, rtol=1e-5, atol=1e-5)


def test_tied_embeddings_are_the_head_too(tiny_config):
    config = tiny_config.replace(**FAMILIES["qwen2"])
    params = _init(config, jax.random.key(0))
    assert "head" not in params
    np.testing.assert_array_equal(head_kernel(params, config), params["embed"]["tokens"].T)


@pytest.mark.parametrize(
    "change",
    [{"remat": "dots"}, {"remat": "full"}, {"scan_unroll": 2}],
    ids=["remat_dots", "remat_full", "scan_unroll"],
)
def test_layout_settings_leave_values_and_gradients_alone(tiny_config, tiny_params, change):
    tokens, positions, segments = _inputs(tiny_config)

    @functools.partial(jax.jit, static_argnums=1)
    def value_and_grad(params, config):
        def total(params):
            return jnp.sum(jnp.sin(forward(params, config, tokens, positions, segments)))

        return jax.value_and_grad(total)(params)

    value, grads = value_and_grad(tiny_params, tiny_config)
    other_value, other_grads = value_and_grad(tiny_params, tiny_config.replace(**change))
    assert float(value) == pytest.approx(float(other_value), abs=1e-4)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4), grads, other_grads)


def test_bfloat16_stays_near_float32(tiny_config, tiny_params):
    params = jax.tree.map(lambda leaf: leaf * 0.3, tiny_params)
    inputs = _inputs(tiny_config)
    exact = _logits(params, tiny_config, *inputs)
    rounded = _logits(params, tiny_config.replace(dtype="bfloat16"), *inputs)
    assert exact.dtype == rounded.dtype == jnp.float32
    error = np.abs(exact - rounded)
    assert 0 < np.max(error) < 0.1 * np.std(exact)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_layers": 0}, "num_layers"),
        ({"num_kv_heads": 3}, "num_kv_heads=3"),
        ({"head_dim": 7}, "even head_dim"),
        ({"attention": "flash"}, "attention='flash'"),
        ({"remat": "some"}, "remat='some'"),
        ({"activation": "relu"}, "activation='relu'"),
        ({"dtype": "bf16"}, "dtype='bf16' .*bfloat16"),
    ],
)
def test_a_config_that_cannot_be_is_refused(tiny_config, change, named):
    with pytest.raises(UserError, match=named):
        tiny_config.replace(**change)
