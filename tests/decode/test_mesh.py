"""Eight devices answer what one does."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from jaxllm.decode import Engine, Request, ScoreRequest, packed
from jaxllm.models.decoder import abstract_params, init_params, logical_axes
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.rules import shardings


@pytest.fixture(scope="module")
def requests():
    """Two groups that share a beginning and some that share nothing, more than there are rows."""
    rng = np.random.default_rng(0)
    beginnings = [rng.integers(3, 380, length).tolist() for length in (90, 70, 0)]
    return [
        Request(
            id=str(index),
            prompt_ids=(*beginnings[index % 3], *rng.integers(3, 380, 3 + index).tolist()),
            max_new_tokens=1 + index,
            ignore_eos=True,
        )
        for index in range(21)
    ]


@pytest.mark.parametrize(
    "shape",
    [
        (2, 2, 2),
        pytest.param((8, 1, 1), marks=pytest.mark.slow),
        pytest.param((1, 2, 4), marks=pytest.mark.slow),
        pytest.param((1, 8, 1), marks=pytest.mark.slow),
    ],
)
def test_a_mesh_answers_like_one_device(tiny_config, tiny_params, tiny_tokenizer, requests, shape):
    alone = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=8)
    mesh = make_mesh(MeshShape(data=shape[0], fsdp=shape[1], tensor=shape[2]))
    layout = shardings(mesh, logical_axes(tiny_config), abstract_params(tiny_config))
    params = jax.tree.map(jax.device_put, tiny_params, layout)
    together = Engine(params, tiny_config, tiny_tokenizer, mesh=mesh, max_rows=8)
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
        assert score.is_greedy
    assert together.stats.prefix_tokens == 2 * (90 + 70)


def test_all_layers_on_a_mesh_are_one_program(tiny_config, requests):
    config = tiny_config.replace(num_layers=5)
    mesh = make_mesh(MeshShape(data=2, fsdp=2, tensor=2))
    layout = shardings(mesh, logical_axes(config), abstract_params(config))
    params = jax.jit(functools.partial(init_params, config), out_shardings=layout)(
        jax.random.key(0)
    )
    unstacked = [jax.tree.map(lambda leaf, i=i: leaf[i], params["blocks"]) for i in range(5)]
    params = {**params, "blocks": unstacked}
    packed._layer.clear_cache()
    with jax.set_mesh(mesh):
        prefix = np.asarray(requests[0].prompt_ids[:64], np.int32)
        packed.run_prefix(params, config, prefix, cache_dtype="float32")
    assert packed._layer._cache_size() == 2  # the last one picks positions


def test_a_sample_is_the_same_on_a_mesh(tiny_config, tiny_params, tiny_tokenizer):
    asked = [
        Request(id=str(n), prompt_ids=(5, 6 + n), max_new_tokens=6, temperature=1.0, seed=3)
        for n in range(5)
    ]
    mesh = make_mesh(MeshShape(data=8))
    engines = [Engine(tiny_params, tiny_config, tiny_tokenizer, mesh=m) for m in (None, mesh)]
    one, eight = ([a.token_ids for a in engine.generate(asked)] for engine in engines)
    assert one == eight
