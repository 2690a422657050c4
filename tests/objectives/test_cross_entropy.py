"""The chunked loss against the plain one, gradients included."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxllm.objectives import cross_entropy
from jaxllm.objectives.cross_entropy import linear_cross_entropy, linear_log_probs


def _total(*arrays, **form):
    return linear_cross_entropy(*arrays, **form)[0]


def _plain(hidden, kernel, targets, weights, *, label_smoothing=0.0, z_loss=0.0):
    logits = jnp.dot(hidden, kernel, preferred_element_type=jnp.float32)
    log_probs = jax.nn.log_softmax(logits)
    goal = optax.smooth_labels(jax.nn.one_hot(targets, logits.shape[-1]), label_smoothing)
    losses = -jnp.sum(goal * log_probs, axis=-1)
    losses += z_loss * jax.nn.logsumexp(logits, axis=-1) ** 2
    return jnp.sum(losses * weights)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.normal(size=(3, 10, 8)), jnp.float32),
        jnp.asarray(rng.normal(size=(8, 50)), jnp.float32),
        jnp.asarray(rng.integers(0, 50, (3, 10)), jnp.int32),
        jnp.asarray(rng.random((3, 10)) * (rng.random((3, 10)) < 0.7), jnp.float32),
    )


# 3 x 50 logits a position: all at once; chunks of 4, so that 10 is padded to 12; one by one.
@pytest.mark.parametrize("max_logits", [1 << 24, 600, 1])
@pytest.mark.parametrize(
    "form",
    [{}, {"label_smoothing": 0.2}, {"z_loss": 0.1}, {"label_smoothing": 0.1, "z_loss": 0.01}],
)
def test_value_and_gradients_equal_the_plain_loss(arrays, monkeypatch, max_logits, form):
    monkeypatch.setattr(cross_entropy, "_MAX_CHUNK_LOGITS", max_logits)
    hidden, kernel, targets, weights = arrays

    def tripled(loss):
        def total(hidden, kernel, weights):
            return 3 * loss(hidden, kernel, targets, weights, **form)

        return jax.value_and_grad(total, argnums=(0, 1, 2))

    value, grads = tripled(_total)(hidden, kernel, weights)
    wanted, wanted_grads = tripled(_plain)(hidden, kernel, weights)
    assert float(value) == pytest.approx(float(wanted), rel=1e-6)
    for grad, other in zip(grads, wanted_grads, strict=True):
        assert grad.shape == other.shape
        np.testing.assert_allclose(grad, other, atol=1e-5)
    # Called without a gradient it takes another path.
    alone, terms = linear_cross_entropy(*arrays, **form)
    assert float(alone) == pytest.approx(float(wanted) / 3, rel=1e-6)
    # The gradient by the weights is three times the terms, on either path.
    np.testing.assert_allclose(3 * terms, grads[2], rtol=1e-6)
    (_, with_gradient), _ = jax.value_and_grad(
        lambda hidden: linear_cross_entropy(hidden, *arrays[1:], **form), has_aux=True
    )(hidden)
    np.testing.assert_allclose(with_gradient, terms, rtol=1e-6)


@pytest.mark.parametrize("of_tokens", [False, True])
def test_a_kernel_that_is_not_trained_costs_no_gradient(arrays, of_tokens):
    hidden, kernel, targets, weights = arrays

    def loss(hidden, kernel):
        if of_tokens:
            return -jnp.sum(weights * linear_log_probs(hidden, kernel, targets))
        return _total(hidden, kernel, targets, weights)

    def products(argnums):
        lowered = jax.jit(jax.grad(loss, argnums)).lower(hidden, kernel)
        return lowered.as_text().count("dot_general")

    assert products((0,)) == products((0, 1)) - 1
    np.testing.assert_array_equal(
        jax.grad(loss)(hidden, kernel), jax.grad(loss, argnums=(0, 1))(hidden, kernel)[0]
    )


def test_large_logits_stay_finite(arrays):
    hidden, kernel, targets, weights = arrays
    value, grad = jax.value_and_grad(_total)(hidden * 1e4, kernel, targets, weights)
    assert np.isfinite(value)
    assert np.all(np.isfinite(grad))
    np.testing.assert_allclose(value, _plain(hidden * 1e4, kernel, targets, weights), rtol=1e-5)


def test_bfloat16_operands_keep_a_float32_loss(arrays):
    hidden, kernel, targets, weights = arrays
    half = (hidden.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), targets, weights)
    value, grads = jax.value_and_grad(_total, argnums=(0, 1))(*half)
    assert value.dtype == jnp.float32
    assert [grad.dtype for grad in grads] == [jnp.bfloat16, jnp.bfloat16]
    assert float(value) == pytest.approx(float(_plain(*half)), rel=1e-5)
    _, wanted = jax.value_and_grad(_plain, argnums=(0, 1))(
        *(x.astype(jnp.float32) for x in half[:2]), targets, weights
    )
    for grad, other in zip(grads, wanted, strict=True):
        np.testing.assert_allclose(grad.astype(jnp.float32), other, atol=0.05)


@pytest.mark.parametrize("max_logits", [1 << 24, 600, 1])
def test_log_probs_and_their_gradients_equal_the_plain_ones(arrays, monkeypatch, max_logits):
    monkeypatch.setattr(cross_entropy, "_MAX_CHUNK_LOGITS", max_logits)
    hidden, kernel, targets, weights = arrays

    def plain(hidden, kernel, targets):
        logprobs = jax.nn.log_softmax(jnp.dot(hidden, kernel))
        return jnp.take_along_axis(logprobs, targets[..., None], axis=-1)[..., 0]

    def curved(log_probs):
        def total(hidden, kernel):  # no sum over tokens: of rows, squared
            return jnp.sum(jnp.sum(weights * log_probs(hidden, kernel, targets), axis=1) ** 2)

        return jax.grad(total, argnums=(0, 1))(hidden, kernel)

    found = linear_log_probs(hidden, kernel, targets)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, plain(hidden, kernel, targets), rtol=1e-5)
    for grad, wanted in zip(curved(linear_log_probs), curved(plain), strict=True):
        np.testing.assert_allclose(grad, wanted, rtol=1e-4, atol=1e-3)
        assert np.abs(wanted).max() > 10
