"""An accelerator computes what the CPU computes: run with `make test-device` where there is one."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.decode import Engine, Request, ScoreRequest
from jaxllm.models.attention import causal_attention
from jaxllm.models.decoder import forward, project_logits
from jaxllm.objectives.sft import sft_loss
from jaxllm.objectives.train_state import fresh_params
from jaxllm.parallel.mesh import MeshShape, make_mesh

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def accelerator():
    device = jax.devices()[0]
    if device.platform == "cpu":
        pytest.skip("there is no accelerator; set JAX_PLATFORMS=tpu,cpu or cuda,cpu")
    return device


@pytest.fixture(scope="module")
def cpu():
    return jax.devices("cpu")[0]


@pytest.fixture(autouse=True)
def exact_products():
    """float32 products in full: TPUs and recent GPUs shorten them otherwise."""
    with jax.default_matmul_precision("highest"):
        yield


def _on(device, function, *arguments):
    place = functools.partial(jax.device_put, device=device)
    return jax.device_get(jax.jit(function)(*jax.tree.map(place, arguments)))


def _batch(config, rows=4, length=128):
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, 380, (rows, length), np.int32)
    segments = np.repeat([[1] * 60 + [2] * 60 + [0] * (length - 120)], rows, axis=0)
    positions = np.concatenate([np.arange(60), np.arange(60), np.zeros(length - 120)])
    return {
        "tokens": tokens,
        "targets": np.roll(tokens, -1, axis=1),
        "segment_ids": segments.astype(np.int32),
        "positions": np.repeat(positions[None], rows, axis=0).astype(np.int32),
        "loss_weights": ((segments > 0) * (rng.random(tokens.shape) < 0.5)).astype(np.float32),
    }


def test_logits(accelerator, cpu, tiny_config, tiny_params):
    batch, config = _batch(tiny_config), tiny_config.replace(attention="xla")

    def logits(params):
        names = ("tokens", "positions", "segment_ids")
        return project_logits(
            params, config, forward(params, config, *(batch[name] for name in names))
        )

    real = batch["segment_ids"] > 0
    found, wanted = (_on(device, logits, tiny_params)[real] for device in (accelerator, cpu))
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_loss_and_gradients(accelerator, cpu, tiny_config, tiny_params):
    def loss(params):
        config = tiny_config.replace(attention="xla")
        total, weight, _ = sft_loss(params, config, _batch(tiny_config))
        return total, weight

    compute = jax.value_and_grad(loss, has_aux=True)
    (found, grads), (wanted, expected) = (
        _on(device, compute, tiny_params) for device in (accelerator, cpu)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-4 * largest), grads, expected
    )


@pytest.mark.parametrize("dtype, fused", [("float32", False), ("bfloat16", False),
                                          ("bfloat16", True)])  # fmt: skip
def test_answers_and_scores(
    accelerator, cpu, tiny_config, tiny_params, tiny_tokenizer, dtype, fused
):
    """With XLA's attention, and with the kernel of this accelerator."""
    config = tiny_config.replace(dtype=dtype, attention="xla")
    kernel = {"tpu": "splash", "gpu": "cudnn"}.get(accelerator.platform, "xla")
    rng = np.random.default_rng(1)
    beginning = rng.integers(3, 380, 90).tolist()
    requests = [
        Request(
            id=str(index),
            prompt_ids=(*beginning, *rng.integers(3, 380, 4 + 7 * index).tolist()),
            max_new_tokens=12,
            ignore_eos=True,
        )
        for index in range(8)
    ]

    def engine(device):
        name = kernel if fused and device is accelerator else "xla"
        params = jax.device_put(tiny_params, device)
        return Engine(params, config.replace(attention=name), tiny_tokenizer)

    with jax.default_device(cpu):
        wanted = engine(cpu).generate(requests)
    with jax.default_device(accelerator):
        found = engine(accelerator).generate(requests)
        asked = [
            ScoreRequest(id=r.id, prompt_ids=r.prompt_ids, continuation_ids=a.token_ids)
            for r, a in zip(requests, wanted, strict=True)
        ]
        scores = engine(accelerator).score(asked)
    tolerance = 1e-3 if dtype == "float32" else 0.5
    for answer, score in zip(wanted, scores, strict=True):
        assert score.logprob == pytest.approx(answer.logprob, abs=tolerance)
    if dtype == "float32":
        assert [answer.token_ids for answer in found] == [answer.token_ids for answer in wanted]


def test_fused_attention(accelerator, cpu, tiny_config):
    """The kernel of this accelerator against XLA's attention on the CPU, values and gradients."""
    backend = {"tpu": "splash", "gpu": "cudnn"}.get(accelerator.platform, "xla")
    dtype = jnp.bfloat16 if backend == "cudnn" else jnp.float32
    rng = np.random.default_rng(0)
    q, k, v = (np.asarray(rng.normal(size=(2, 128, heads, 64)), np.float32) for heads in (4, 2, 2))
    segments = np.repeat([[1] * 50 + [2] * 78], 2, axis=0).astype(np.int32)

    def attend(name, dtype, q, k, v):
        config = tiny_config.replace(attention=name, head_dim=64)

        def total(q, k, v):
            parts = (part.astype(dtype) for part in (q, k, v))
            out = causal_attention(config, *parts, segments).astype(jnp.float32)
            return jnp.sum(jnp.sin(out)), out

        return jax.grad(total, argnums=(0, 1, 2), has_aux=True)(q, k, v)

    found = _on(accelerator, functools.partial(attend, backend, dtype), q, k, v)
    wanted = _on(cpu, functools.partial(attend, "xla", jnp.float32), q, k, v)
    atol = 5e-2 if dtype == jnp.bfloat16 else 2e-4
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=atol), found, wanted)


def test_weights_born_on_the_accelerator(accelerator, tiny_config):
    mesh = make_mesh(MeshShape(data=1), devices=[accelerator])
    params = fresh_params(tiny_config, mesh, seed=0)
    assert all(leaf.devices() == {accelerator} for leaf in jax.tree.leaves(params))
