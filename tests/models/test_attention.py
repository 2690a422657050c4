"""Attention backends against a plain loop and against each other."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models import block_attention
from jaxllm.models.attention import causal_attention, masked_attention
from jaxllm.parallel.mesh import MeshShape, make_mesh


def _arrays(rows, length, heads, kv_heads, head_dim, dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = [(rows, length, count, head_dim) for count in (heads, kv_heads, kv_heads)]
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def _segments(rows, length):
    """Two segments of unequal length and padding at the end."""
    row = np.zeros(length, np.int32)
    row[: length // 3], row[length // 3 : length - 4] = 1, 2
    return np.stack([row] + [np.ones(length, np.int32)] * (rows - 1))


def test_the_reference_is_softmax_over_the_visible_keys():
    q, k, v = (np.asarray(x) for x in _arrays(2, 6, 4, 2, 8))
    mask = np.random.default_rng(1).random((2, 6, 6)) < 0.6
    mask[:, :, 0] = True
    out = masked_attention(q, k.swapaxes(1, 2), v.swapaxes(1, 2), mask)
    for row in range(2):
        for place in range(6):
            for head in range(4):
                keys = np.flatnonzero(mask[row, place])
                scores = k[row, keys, head // 2] @ q[row, place, head] / math.sqrt(8)
                weights = np.exp(scores - scores.max())
                wanted = (weights / weights.sum()) @ v[row, keys, head // 2]
                np.testing.assert_allclose(out[row, place, head], wanted, atol=1e-5)


def test_an_empty_mask_gives_finite_values():
    q, k, v = _arrays(1, 4, 2, 2, 8)
    mask = np.zeros((1, 4, 4), bool)
    out = masked_attention(q, jnp.swapaxes(k, 1, 2), jnp.swapaxes(v, 1, 2), mask)
    assert np.all(np.isfinite(out))


def test_segments_do_not_see_each_other(tiny_config):
    q, k, v = _arrays(1, 12, 4, 2, 8)
    segments = np.array([[1] * 5 + [2] * 7], np.int32)
    together = causal_attention(tiny_config, q, k, v, segments)
    for part in (slice(0, 5), slice(5, 12)):
        alone = causal_attention(tiny_config, q[:, part], k[:, part], v[:, part], segments[:, part])
        np.testing.assert_allclose(together[:, part], alone, atol=1e-6)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_splash_equals_xla_values_and_gradients(tiny_config, kv_heads):
    config = tiny_config.replace(head_dim=64, num_heads=2, num_kv_heads=kv_heads)
    q, k, v = _arrays(2, 128, 2, kv_heads, 64)
    segments = _segments(2, 128)
    real = (segments > 0)[:, :, None, None]

    def run(backend):
        def total(q, k, v):
            out = causal_attention(config.replace(attention=backend), q, k, v, segments)
            return jnp.sum(jnp.where(real, jnp.sin(out), 0)), out

        return jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)

    (splash_grads, splash), (xla_grads, xla) = run("splash"), run("xla")
    np.testing.assert_allclose(np.where(real, splash, 0), np.where(real, xla, 0), atol=1e-4)
    compare = functools.partial(np.testing.assert_allclose, atol=1e-4)
    jax.tree.map(compare, splash_grads, xla_grads)


def test_splash_on_a_mesh_splits_rows_and_heads(tiny_config):
    config = tiny_config.replace(head_dim=64, num_heads=4, num_kv_heads=2, attention="splash")
    q, k, v = _arrays(4, 128, 4, 2, 64)
    segments = _segments(4, 128)
    with jax.set_mesh(make_mesh(MeshShape(data=2, fsdp=2, tensor=2))):
        sharded = jax.jit(functools.partial(causal_attention, config))(q, k, v, segments)
    alone = causal_attention(config.replace(attention="xla"), q, k, v, segments)
    real = (segments > 0)[:, :, None, None]
    np.testing.assert_allclose(np.where(real, sharded, 0), np.where(real, alone, 0), atol=1e-4)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_the_gradient_in_blocks_is_that_of_the_reference(tiny_config, kv_heads, dtype, tolerance):
    q, k, v = _arrays(2, 150, 4, kv_heads, 8, dtype)
    segments = _segments(2, 150)
    real = (segments > 0)[:, :, None, None]

    def run(attend):
        def total(*arrays):
            out = jnp.where(real, attend(*arrays).astype(jnp.float32), 0)
            return jnp.sum(jnp.sin(out)), out

        found = jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)
        return jax.tree.map(lambda array: np.asarray(array, np.float32), found)

    def reference(q, k, v):
        mask = block_attention.causal_mask(jnp.asarray(segments), 0, 150)
        return masked_attention(q, jnp.swapaxes(k, 1, 2), jnp.swapaxes(v, 1, 2), mask)

    found = run(lambda *arrays: causal_attention(tiny_config, *arrays, segments))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=tolerance, rtol=tolerance),
        found,
        run(reference),
    )


@pytest.mark.parametrize("length", [200, 640, 2100])
def test_query_blocks_equal_one_block(tiny_config, monkeypatch, length):
    q, k, v = _arrays(1, length, 2, 1, 8)
    segments = _segments(1, length)
    real = (segments > 0)[:, :, None, None]

    def run():
        def total(q, k, v):
            out = jnp.where(real, causal_attention(tiny_config, q, k, v, segments), 0)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)

    blocks = run()
    monkeypatch.setattr(block_attention, "_MIN_QUERY_BLOCK", length)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=2e-5), blocks, run())


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_bfloat16_keys_in_the_layout_of_a_cache(kv_heads, length):
    """XLA:CPU has no bfloat16 dot with two row axes, which grouped heads would ask for."""
    q, *_ = _arrays(2, length, 4, 1, 8)
    _, k, v = (jnp.swapaxes(x, 1, 2) for x in _arrays(2, 16, 4, kv_heads, 8))
    mask = np.ones((2, length, 16), bool)
    half = jax.jit(masked_attention)(*(x.astype(jnp.bfloat16) for x in (q, k, v)), mask)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(np.float32), masked_attention(q, k, v, mask), atol=0.05)
