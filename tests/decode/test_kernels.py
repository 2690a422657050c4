"""Kernels against the XLA reference: in interpret mode on CPU, and compiled for a TPU."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.decode import Engine, Request, ScoreRequest
from jaxllm.decode.kernels import (
    in_blocks,
    packed_attention,
    prefix_ids,
    side_by_side,
    step_attention,
)
from jaxllm.models.attention import Keys
from jaxllm.models.decoder import abstract_params, logical_axes
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.rules import shardings

# float32 sums in another order; bfloat16 rounds the scaled queries and each part of the result.
_TOLERANCE = {"float32": 1e-5, "bfloat16": 3e-2}


def _normal(seed, *shape, dtype="float32"):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _packed(kv_heads, length, *, rows=2, prefix_slots=48, dtype="float32"):
    """Rows of three items and padding, and a prefix of which 40 slots are real."""
    own = (_normal(0, rows, length, 4, 16, dtype=dtype),
           _normal(1, rows, kv_heads, 16, length, dtype=dtype),
           _normal(2, rows, kv_heads, length, 16, dtype=dtype))  # fmt: skip
    starts = np.arange(length)
    for start, stop in ((0, 30), (30, 31), (31, length - 5)):
        starts[start:stop] = start
    starts = jnp.asarray(np.stack([starts] + [np.arange(length) // 40 * 40] * (rows - 1)))
    mask = (jnp.arange(prefix_slots) < 40)[None, None]
    k = _normal(3, kv_heads, 16, prefix_slots, dtype=dtype)
    v = _normal(4, kv_heads, prefix_slots, 16, dtype=dtype)
    return (*own, starts), Keys(k, v, mask)


@pytest.mark.parametrize("length, has_prefix", [(80, False), (300, True), (1000, True)])
def test_blocks_in_a_loop_equal_all_scores_at_once(length, has_prefix):
    rng = np.random.default_rng(length)
    arrays, prefix = _packed(2, length, rows=2)
    begins = np.sort(rng.choice(np.arange(1, length), 6, replace=False))
    starts = np.concatenate([[0], begins])[np.searchsorted(begins, np.arange(length), "right")]
    starts = jnp.asarray(np.stack([starts, np.asarray(arrays[-1])[1]]))
    prefix = prefix if has_prefix else None
    reach = int(np.max(np.arange(length) - np.asarray(starts))) + 1
    q, k, v, _ = arrays
    places = jnp.broadcast_to(jnp.arange(length), starts.shape)
    whole = side_by_side(q, k, v, starts, prefix, "xla")
    looped = jax.jit(in_blocks, static_argnames="reach")
    along = looped(q, k, v, starts, places, prefix, reach=reach)
    np.testing.assert_allclose(along, whole, atol=1e-5)
    # Some queries, in order, and padding behind them.
    picks = np.stack([np.sort(rng.choice(length, 70, replace=False)) for _ in range(2)])
    picks[:, 66:] = 0
    taken = [jnp.take_along_axis(x, picks.reshape(2, 70, *(1,) * (x.ndim - 2)), 1)
             for x in (q, starts, whole)]  # fmt: skip
    some = looped(taken[0], k, v, taken[1], jnp.asarray(picks), prefix)
    np.testing.assert_allclose(some, taken[2], atol=1e-5)


@pytest.mark.parametrize(
    "kv_heads, length, dtype, has_prefix",
    [(2, 80, "float32", True), (4, 256, "float32", False), (1, 256, "bfloat16", True)],
)
def test_packed_splash_equals_xla(tiny_config, kv_heads, length, dtype, has_prefix):
    arrays, prefix = _packed(kv_heads, length, dtype=dtype)
    prefix = prefix if has_prefix else None
    reach = length - 36

    @functools.partial(jax.jit, static_argnums=0)
    def attend(backend, arrays, prefix):
        return packed_attention(
            tiny_config.replace(attention=backend), *arrays, prefix, reach=reach
        )

    found, wanted = (attend(name, arrays, prefix) for name in ("splash", "xla"))
    assert found.dtype == dtype
    found, wanted = (np.asarray(out, np.float32) for out in (found, wanted))
    np.testing.assert_allclose(found, wanted, atol=_TOLERANCE[dtype])


@pytest.mark.parametrize("has_prefix", [False, True])
def test_keys_side_by_side_equal_xla(has_prefix):
    arrays, prefix = _packed(2, 80)
    prefix = prefix if has_prefix else None
    places = jnp.broadcast_to(jnp.arange(80), (2, 80))
    found = jax.jit(functools.partial(side_by_side, implementation="xla"))(*arrays, prefix)
    wanted = jax.jit(in_blocks)(*arrays, places, prefix)
    np.testing.assert_allclose(found, wanted, atol=_TOLERANCE["float32"])


def _step(kv_heads, rows=8):
    """Rows of two prefixes, one row without and one that was freed before its slots were reused."""
    own = [
        Keys(_normal(1, rows, kv_heads, 16, 24), _normal(2, rows, kv_heads, 24, 16),
             jnp.arange(24) < jnp.arange(1, rows + 1)[:, None, None])
    ]  # fmt: skip
    starts = jnp.asarray([0, 0, 48, 48, 0, 0, 48, 32])
    lengths = jnp.asarray([40, 40, 70, 70, 40, 0, 70, 64])
    live = jnp.arange(rows) < 7
    places = jnp.arange(128)
    sees = (places >= starts[:, None]) & (places < (starts + lengths)[:, None])
    pool = Keys(_normal(3, kv_heads, 16, 128), _normal(4, kv_heads, 128, 16), sees[:, None])
    return _normal(0, rows, 1, 4, 16), own, pool, prefix_ids(starts, sees[:, None], live)


@pytest.mark.parametrize("kv_heads", [1, 4])
def test_a_step_through_splash_equals_xla(tiny_config, kv_heads):
    arrays = _step(kv_heads)

    @functools.partial(jax.jit, static_argnums=0)
    def attend(backend, arrays):
        return step_attention(tiny_config.replace(attention=backend), *arrays)

    found, wanted = (attend(name, arrays) for name in ("splash", "xla"))
    np.testing.assert_allclose(found[:7], wanted[:7], atol=_TOLERANCE["float32"])
    assert np.all(np.isfinite(found))


@pytest.mark.parametrize("kv_heads", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_kernels_on_a_mesh_equal_one_device(tiny_config, kv_heads):
    """Also where the key heads do not divide over `tensor`."""
    config = tiny_config.replace(attention="splash")
    arrays, prefix = _packed(kv_heads, 128, rows=4)

    def both(arrays, prefix, step):
        packed = packed_attention(config, *arrays, prefix, reach=128)
        return packed, step_attention(config, *step)

    wanted = jax.jit(both)(arrays, prefix, _step(kv_heads))
    with jax.set_mesh(make_mesh(MeshShape(data=2, fsdp=2, tensor=2))):
        found = jax.jit(both)(arrays, prefix, _step(kv_heads))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=_TOLERANCE["float32"])


def _requests(count, beginnings):
    """Requests that begin with one of these many shared tokens, by turns."""
    rng = np.random.default_rng(0)
    shared = [rng.integers(3, 380, length).tolist() for length in beginnings]
    return [
        Request(
            id=str(index),
            prompt_ids=(*shared[index % len(shared)], *rng.integers(3, 380, 3 + index).tolist()),
            max_new_tokens=2 + index % 7,
            ignore_eos=True,
        )
        for index in range(count)
    ]


def test_the_engine_answers_the_same_through_splash(tiny_config, tiny_params, tiny_tokenizer):
    requests = _requests(6, [40])
    backends = ("splash", "xla")
    engines = [
        Engine(tiny_params, tiny_config.replace(attention=name), tiny_tokenizer, max_rows=4)
        for name in backends
    ]
    for answer, expected in zip(*(engine.generate(requests) for engine in engines), strict=True):
        assert answer.token_ids == expected.token_ids
        assert answer.logprob == pytest.approx(expected.logprob, abs=1e-3)
    assert engines[0].stats.prefix_tokens == 40


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 2, 4), (2, 2, 2)])
def test_a_mesh_answers_the_same_through_splash(tiny_config, tiny_params, tiny_tokenizer, shape):
    """More requests than rows; two key heads over `tensor` of 1, 4 and 2."""
    requests = _requests(21, [90, 70, 0])
    mesh = make_mesh(MeshShape(data=shape[0], fsdp=shape[1], tensor=shape[2]))
    layout = shardings(mesh, logical_axes(tiny_config), abstract_params(tiny_config))
    params = jax.tree.map(jax.device_put, tiny_params, layout)
    config = tiny_config.replace(attention="splash")
    alone = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=8)
    together = Engine(params, config, tiny_tokenizer, mesh=mesh, max_rows=8)
    wanted = alone.generate(requests)
    for answer, expected in zip(together.generate(requests), wanted, strict=True):
        assert answer.token_ids == expected.token_ids
        assert answer.logprob == pytest.approx(expected.logprob, abs=1e-3)
    asked = [
        ScoreRequest(id=r.id, prompt_ids=r.prompt_ids, continuation_ids=a.token_ids)
        for r, a in zip(requests, wanted, strict=True)
    ]
    for score, expected in zip(together.score(asked), wanted, strict=True):
        assert score.logprob == pytest.approx(expected.logprob, abs=1e-3)


# Compiled in a process of its own: libtpu reads its environment once, and prints.
_COMPILE = """
import json, sys
from jax.experimental import topologies
from jaxllm.decode.programs import ProgramSizes, lower_programs
from jaxllm.models.config import ModelConfig
from jaxllm.parallel.mesh import MeshShape, make_mesh

topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
config = ModelConfig(
    vocab_size=99584, hidden_size=2048, num_layers=3, num_heads=16, num_kv_heads=16, head_dim=128,
    ffn_size=7168, max_positions=4096, dtype="bfloat16", attention=sys.argv[1],
)
mesh = make_mesh(MeshShape(data=2, tensor=2), devices=topology.devices)
sizes = ProgramSizes(rows=64, prompt_slots=512, ring_slots=64, prefix_slots=1024)
kernels = {}
for name, lowered in lower_programs(config, mesh, sizes).items():
    text = lowered.compile().as_text()
    kernels[name] = text.count('custom_call_target="tpu_custom_call"')
print(json.dumps(kernels))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu")
@pytest.mark.parametrize("attention", ["auto", "xla"])
def test_programs_compile_for_a_tpu_that_is_not_there(attention):
    """llm-jp-3-1.8b's shape, three layers of it, on four v5e chips as data=2 tensor=2."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
    command = [sys.executable, "-c", _COMPILE, attention]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    kernels = json.loads(done.stdout.splitlines()[-1])
    # Prefill: the band and the prefix, in both layers before the last; the step: the pool, in every
    # layer.
    assert kernels == (
        {"prefill": 4, "step": 3} if attention == "auto" else {"prefill": 0, "step": 0}
    )
