"""The choice of a token."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.decode.sampling import SamplingState, choose_tokens

_PROBABILITIES = np.array([0.1, 0.4, 0.05, 0.25, 0.2])


def _choose(temperature, top_p, rows=4000):
    logits = jnp.tile(jnp.log(jnp.asarray(_PROBABILITIES, jnp.float32)), (rows, 1))
    state = SamplingState(
        jnp.full(rows, temperature),
        jnp.full(rows, top_p),
        jax.random.split(jax.random.key(0), rows),
    )
    return choose_tokens(logits, state, jnp.zeros(rows, jnp.int32))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_tempered_distribution(temperature):
    tokens, logprobs = _choose(temperature, 1.0)
    wanted = _PROBABILITIES ** (1 / temperature)
    found = np.bincount(tokens, minlength=5) / len(tokens)
    # Five standard deviations of a share of 4000.
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=0.04)
    # Log-probabilities are the model's own, at temperature 1.
    np.testing.assert_allclose(logprobs, np.log(_PROBABILITIES)[tokens], atol=1e-5)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.39, {1}), (0.41, {1, 3}), (0.7, {1, 3, 4}), (1.0, {0, 1, 2, 3, 4})]
)
def test_top_p_keeps_the_smallest_set_with_that_much_probability(top_p, kept):
    tokens, _ = _choose(1.0, top_p)
    assert set(tokens.tolist()) == kept


def test_rows_of_temperature_zero_are_greedy():
    tokens, _ = _choose(0.0, 1.0, rows=16)
    assert set(tokens.tolist()) == {1}


def test_every_step_draws_anew():
    logits = jnp.zeros((1, 1000))
    state = SamplingState(jnp.ones(1), jnp.ones(1), jax.random.split(jax.random.key(0), 1))
    drawn = [int(choose_tokens(logits, state, jnp.array([step]))[0][0]) for step in range(5)]
    assert len(set(drawn)) > 3
