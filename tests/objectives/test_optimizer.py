"""The schedule value by value, what decays, what is clipped."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import init_params, logical_axes
from jaxllm.objectives.optimizer import OptimizerSettings, learning_rate, make_optimizer


def _values(settings, num_steps, steps):
    schedule = learning_rate(settings, num_steps)
    return [float(schedule(step)) for step in steps]


def test_cosine_after_a_linear_ramp():
    settings = OptimizerSettings(peak_lr=1.0, warmup=0.1, end_lr=0.2)
    wanted = [0.0, 0.5, 1.0] + [
        0.2 + 0.8 * (1 + math.cos(math.pi * (step - 10) / 90)) / 2 for step in (55, 80)
    ]
    assert _values(settings, 100, (0, 5, 10, 55, 80)) == pytest.approx(wanted, abs=1e-6)
    assert _values(settings, 100, (100, 130)) == pytest.approx([0.2, 0.2])


def test_linear_and_constant():
    linear = OptimizerSettings(peak_lr=1.0, schedule="linear", warmup=20, end_lr=0.0)
    assert _values(linear, 120, (10, 20, 70, 120)) == pytest.approx([0.5, 1.0, 0.5, 0.0])
    constant = OptimizerSettings(peak_lr=0.3, schedule="constant", warmup=0.0)
    assert _values(constant, 10, (0, 5, 10)) == pytest.approx([0.3, 0.3, 0.3])


def test_warmup_of_one_or_more_counts_steps_and_below_is_a_share():
    assert _values(OptimizerSettings(peak_lr=1.0, warmup=4), 100, (2, 4)) == pytest.approx([0.5, 1])
    assert _values(OptimizerSettings(peak_lr=1.0, warmup=0.04), 100, (2, 4)) == pytest.approx(
        [0.5, 1]
    )


def test_the_end_of_the_run_holds_the_last_rate():
    # 20 steps up, 100 at the end: instruct2's, in a run of 220 steps.
    settings = OptimizerSettings(peak_lr=1.0, warmup=20, hold=100, end_lr=0.1)
    assert _values(settings, 220, (10, 20, 70, 120, 170, 219)) == pytest.approx(
        [0.5, 1.0, 0.55, 0.1, 0.1, 0.1]
    )
    share = OptimizerSettings(peak_lr=1.0, schedule="linear", warmup=0.0, hold=0.5)
    assert _values(share, 20, (5, 10, 15)) == pytest.approx([0.5, 0.0, 0.0])
    longer = OptimizerSettings(peak_lr=1.0, warmup=2, hold=100, end_lr=0.1)
    assert _values(longer, 10, (2, 3, 9)) == pytest.approx([1.0, 0.1, 0.1])


def test_a_run_shorter_than_its_warmup_and_a_rate_of_zero_work():
    assert _values(OptimizerSettings(peak_lr=1.0, warmup=10), 5, (0, 5)) == pytest.approx([0, 0.5])
    assert _values(OptimizerSettings(peak_lr=0.0), 10, (0, 5, 10)) == [0.0, 0.0, 0.0]


def test_an_unknown_schedule_is_told():
    with pytest.raises(UserError, match="cosine, linear or constant"):
        learning_rate(OptimizerSettings(schedule="step"), 10)


def test_matrices_decay_and_vectors_do_not(tiny_config):
    config = tiny_config.replace(
        positions="learned", norm="layer", qkv_bias=True, mlp_bias=True, qk_norm=True
    )
    axes = logical_axes(config)
    is_axes = {"is_leaf": lambda node: isinstance(node, tuple)}
    params = jax.tree.map(lambda names: jnp.ones([2] * len(names)), axes, **is_axes)
    settings = OptimizerSettings(
        peak_lr=1.0, schedule="constant", warmup=0.0, weight_decay=0.25, clip_norm=0.0
    )
    optimizer = make_optimizer(settings, 10, axes)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    decayed = {
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, update in jax.tree_util.tree_flatten_with_path(updates)[0]
        if np.all(np.asarray(update) == -0.25)
    }
    kept = {
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, update in jax.tree_util.tree_flatten_with_path(updates)[0]
        if not np.any(update)
    }
    assert {name for name in decayed if "blocks" not in name} == {
        "embed.tokens",
        "embed.positions",
        "head.kernel",
    }
    assert all(name.endswith("kernel") for name in decayed if "blocks" in name)
    assert all(name.endswith(("scale", "bias")) for name in kept)
    assert len(decayed) + len(kept) == len(jax.tree.leaves(params))


@pytest.mark.parametrize(("clip_norm", "expected"), [(1.0, 0.5), (0.0, 5.0), (100.0, 5.0)])
def test_the_first_moment_sees_clipped_gradients(clip_norm, expected):
    settings = OptimizerSettings(
        peak_lr=1.0, warmup=0.0, b1=0.5, weight_decay=0.0, clip_norm=clip_norm
    )
    params = {"kernel": jnp.zeros((1, 1))}
    optimizer = make_optimizer(settings, 10, {"kernel": ("embed", "ffn")})
    _, state = optimizer.update({"kernel": jnp.full((1, 1), 10.0)}, optimizer.init(params), params)
    first_moment = next(leaf for leaf in jax.tree.leaves(state) if leaf.shape == (1, 1))
    assert float(first_moment[0, 0]) == pytest.approx(expected)


def test_muon_turns_layer_matrices_and_leaves_the_rest_to_adamw(tiny_config):
    axes = logical_axes(tiny_config)
    params = jax.jit(init_params, static_argnums=0)(tiny_config, jax.random.key(0))
    grads = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape), params)
    settings = {"peak_lr": 0.1, "schedule": "constant", "warmup": 0.0, "clip_norm": 0.0}
    updates = {}
    for name in ("adamw", "muon"):
        optimizer = make_optimizer(OptimizerSettings(name=name, **settings), 10, axes)
        updates[name], _ = optimizer.update(grads, optimizer.init(params), params)
    turned = updates["muon"]["blocks"]["mlp"]["up"]["kernel"]
    decay = 0.1 * 0.1 * params["blocks"]["mlp"]["up"]["kernel"]
    size = 0.1 * 0.2 * math.sqrt(max(turned.shape[1:]))
    # Newton-Schulz in five steps brings singular values near one, not to it.
    for layer in np.asarray(turned + decay):
        values = np.linalg.svd(layer, compute_uv=False) / size
        assert values.min() > 0.5
        assert values.max() < 1.5
    for path in (("embed", "tokens"), ("head", "kernel"), ("final_norm", "scale")):
        found, wanted = (updates[name][path[0]][path[1]] for name in ("muon", "adamw"))
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("field", ["name", "moment_dtype"])
def test_an_unknown_optimizer_or_dtype_is_told(field):
    with pytest.raises(UserError, match=f"config.optimizer.{field}='sgd': use .*, "):
        OptimizerSettings(**{field: "sgd"})


def _two_steps(settings, shape=(2, 130, 140)):
    """The updates of two steps on one stacked matrix and one vector, and the optimizer's state."""
    axes = {"kernel": ("layers", "embed", "ffn"), "scale": ("norm",)}
    params = {"kernel": jnp.ones(shape), "scale": jnp.ones(shape[-1])}
    optimizer = make_optimizer(settings, 10, axes)
    state, updates = optimizer.init(params), []
    for seed in (0, 1):
        key = jax.random.key(seed)
        grads = {name: jax.random.normal(key, leaf.shape) for name, leaf in params.items()}
        update, state = optimizer.update(grads, state, params)
        updates.append(update)
    return updates, state


_PLAIN = {"peak_lr": 0.1, "schedule": "constant", "warmup": 0.0, "clip_norm": 0.0}


def test_lion_steps_by_signs():
    (first, second), _ = _two_steps(OptimizerSettings(name="lion", weight_decay=0.5, **_PLAIN))
    for update in (first, second):
        np.testing.assert_allclose(np.abs(update["scale"]), 0.1, rtol=1e-6)
        # A matrix decays too: -0.1 (sign + 0.5 weight).
        values = np.unique(np.round(np.asarray(update["kernel"]), 5))
        np.testing.assert_allclose(values, [-0.15, 0.05], atol=1e-6)


def test_adafactor_keeps_rows_and_columns_and_clips_its_updates():
    settings = OptimizerSettings(name="adafactor", weight_decay=0.5, **_PLAIN)
    (first, second), state = _two_steps(settings)
    sizes = {leaf.shape for leaf in jax.tree.leaves(state)}
    assert {(2, 130), (2, 140)} <= sizes
    assert (2, 130, 140) not in sizes
    for update in (first, second):
        step = np.asarray(update["kernel"]) / -0.1 - 0.5  # without its decay
        assert np.sqrt(np.mean(step**2)) == pytest.approx(1.0, abs=0.02)
        assert np.sqrt(np.mean((np.asarray(update["scale"]) / 0.1) ** 2)) < 1.001


@pytest.mark.parametrize("name", ["adamw", "lion", "muon"])
def test_first_moments_in_bfloat16(name):
    settings = OptimizerSettings(name=name, moment_dtype="bfloat16", **_PLAIN)
    half, state = _two_steps(settings)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert dtypes.count(jnp.bfloat16) == 2
    assert dtypes.count(jnp.float32) == {"adamw": 2, "lion": 0, "muon": 2}[name]
    if name != "lion":  # whose signs turn where the moment is near zero
        whole, _ = _two_steps(OptimizerSettings(name=name, **_PLAIN))
        off = jax.tree.map(lambda a, b: np.abs(a - b).max(), half[1], whole[1])
        assert 0 < max(jax.tree.leaves(off)) < 0.02
