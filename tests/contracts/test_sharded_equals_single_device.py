"""Contract: the same numbers on any mesh, for the loss, its gradients, a step, and decoding."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding

from jaxllm.decode import Engine, Request
from jaxllm.models.decoder import forward, logical_axes
from jaxllm.objectives.optimizer import OptimizerSettings, learning_rate, make_optimizer
from jaxllm.objectives.sft import sft_loss
from jaxllm.objectives.train_state import abstract_state, fresh_state, make_train_step
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.rules import partition_spec

# Every way to share eight devices out. The quick ones have all of an axis, some of each, and more
# devices along `tensor` than key/value heads; the slow ones more than heads of any kind.
_MESHES = [
    MeshShape(data=data, fsdp=fsdp, tensor=8 // data // fsdp)
    for data in (1, 2, 4, 8)
    for fsdp in (1, 2, 4, 8)
    if data * fsdp <= 8
]
_QUICK = [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 2, 4)]
# A large eps: where a gradient is near zero Adam would blow rounding up to a whole step.
_SETTINGS = OptimizerSettings(peak_lr=0.1, schedule="constant", warmup=0.0, eps=1e-2)


def _batch(config):
    rng = np.random.default_rng(0)
    shape = (8, 24)
    segments = np.repeat([[1] * 10 + [2] * 9 + [0] * 5], 8, axis=0)
    return {
        "tokens": rng.integers(0, config.vocab_size, shape, np.int32),
        "targets": rng.integers(0, config.vocab_size, shape, np.int32),
        "segment_ids": segments.astype(np.int32),
        "positions": np.repeat([[*range(10), *range(9), *[0] * 5]], 8, axis=0).astype(np.int32),
        "loss_weights": ((segments > 0) * (rng.random(shape) < 0.6)).astype(np.float32),
    }


def _run(config, params, mesh, tokenizer):
    """Hidden states, loss sum, gradients, the state after a step, and answers, on a mesh."""
    batch = _batch(config)
    with jax.set_mesh(mesh):
        optimizer = make_optimizer(_SETTINGS, 10, logical_axes(config))
        target = abstract_state(config, optimizer, mesh)
        layout = jax.tree.map(lambda leaf: leaf.sharding, target["params"])
        params = jax.device_put(params, layout)
        rows = NamedSharding(mesh, partition_spec(("batch", "length")))

        @jax.jit
        def everything(params, batch):
            names = ("tokens", "positions", "segment_ids")
            hidden = forward(params, config, *(batch[name] for name in names))

            def loss(params):
                total, weight, _ = sft_loss(params, config, batch)
                return total, weight

            return hidden, *jax.value_and_grad(loss, has_aux=True)(params)

        plain = jax.device_get(everything(params, jax.device_put(batch, rows)))
        answers = [
            answer.token_ids
            for answer in Engine(params, config, tokenizer, mesh=mesh).generate(
                [
                    Request(id=str(n), prompt_ids=tuple(range(3, 5 + n)), max_new_tokens=8)
                    for n in range(5)
                ]
            )
        ]
        step = make_train_step(config, optimizer, sft_loss, learning_rate(_SETTINGS, 10), target)
        micro = NamedSharding(mesh, partition_spec((None, "batch", "length")))
        parts = {name: array[None] for name, array in batch.items()}
        state = fresh_state(params, optimizer, target)
        stepped = step(state, {}, jax.device_put(parts, micro))
    return plain, answers, jax.device_get(stepped)


@pytest.fixture(scope="module")
def single(tiny_config, tiny_params, tiny_tokenizer):
    mesh = make_mesh(MeshShape(data=1), devices=jax.devices()[:1])
    return _run(tiny_config, jax.device_get(tiny_params), mesh, tiny_tokenizer)


def _named(shape: MeshShape):
    sizes = dataclasses.astuple(shape)
    marks = [] if sizes in _QUICK else [pytest.mark.slow]
    return pytest.param(shape, id="data{}_fsdp{}_tensor{}".format(*sizes), marks=marks)


@pytest.mark.parametrize("shape", [_named(shape) for shape in _MESHES])
def test_sharded_equals_single_device(tiny_config, tiny_params, tiny_tokenizer, single, shape):
    mesh = make_mesh(shape)
    plain, answers, stepped = _run(tiny_config, jax.device_get(tiny_params), mesh, tiny_tokenizer)
    (hidden, (loss, weight), grads), wanted_answers, wanted_step = single
    np.testing.assert_allclose(plain[0], hidden, atol=1e-4)
    assert float(plain[1][0]) == pytest.approx(float(loss), rel=1e-5)
    assert float(plain[1][1]) == float(weight)
    largest = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(grads))
    close = functools.partial(np.testing.assert_allclose, atol=1e-5 * largest)
    jax.tree.map(close, plain[2], grads)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4), stepped, wanted_step)
    assert answers == wanted_answers
