"""The choice of a token."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.decode import Request
from jaxllm.decode.sampling import choose_tokens, mark_seen, sampling_state

_PROBABILITIES = np.array([0.1, 0.4, 0.05, 0.25, 0.2])


def _state(rows, prompt_ids=(0,), **settings):
    requests = [
        Request(id=str(row), prompt_ids=prompt_ids, max_new_tokens=1, **settings)
        for row in range(rows)
    ]
    return sampling_state(requests, penalized="repetition_penalty" in settings, vocab_size=5)


def _choose(rows=4000, **settings):
    logits = jnp.tile(jnp.log(jnp.asarray(_PROBABILITIES, jnp.float32)), (rows, 1))
    return choose_tokens(logits, _state(rows, **settings), jnp.zeros(rows, jnp.int32))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_tempered_distribution(temperature):
    tokens, logprobs = _choose(temperature=temperature)
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
    tokens, _ = _choose(temperature=1.0, top_p=top_p)
    assert set(tokens.tolist()) == kept


def test_rows_of_temperature_zero_are_greedy():
    tokens, _ = _choose(temperature=0.0, rows=16)
    assert set(tokens.tolist()) == {1}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"top_k": 2}, {1, 3}),
        ({"top_k": 9}, {0, 1, 2, 3, 4}),
        ({"min_p": 0.49}, {1, 3, 4}),
        ({"min_p": 0.51}, {1, 3}),
        ({"min_p": 0.2, "top_k": 3}, {1, 3, 4}),
        # The nucleus is that of the two best alone: 0.4 of 0.65 is not enough.
        ({"top_k": 2, "top_p": 0.61}, {1}),
        ({"top_k": 2, "top_p": 0.62}, {1, 3}),
    ],
)
def test_top_k_and_min_p_keep_the_likeliest(settings, kept):
    tokens, _ = _choose(temperature=1.0, **settings)
    assert set(tokens.tolist()) == kept


def test_a_repetition_penalty_lowers_what_was_said():
    logits = jnp.asarray([[2.0, 3.0, -1.0, -1.5, 0.0]])
    state = _state(1, prompt_ids=(1, 2), repetition_penalty=2.0)
    tokens, logprobs = choose_tokens(logits, state, jnp.zeros(1, jnp.int32))
    assert tokens.tolist() == [0]  # 3.0 / 2 is less than 2.0
    assert logprobs[0] == pytest.approx(2.0 - np.log(np.exp(np.asarray(logits)).sum()), abs=1e-5)
    state = mark_seen(state, tokens)
    assert choose_tokens(logits, state, jnp.ones(1, jnp.int32))[0].tolist() == [1]
    assert state.seen_BV.tolist() == [[True, True, True, False, False]]


def test_every_step_draws_anew():
    logits = jnp.zeros((1, 1000))
    state = _state(1, temperature=1.0)
    drawn = [int(choose_tokens(logits, state, jnp.array([step]))[0][0]) for step in range(5)]
    assert len(set(drawn)) > 3
