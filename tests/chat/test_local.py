"""Weights of ours as a model that answers messages."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jaxllm.chat import ChatRequest, Usage
from jaxllm.chat.local import LocalChat
from jaxllm.decode import Engine, ScoreRequest
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template


@pytest.fixture(scope="module")
def engine(tiny_config, tiny_params, tiny_tokenizer):
    return Engine(tiny_params, tiny_config, tiny_tokenizer)


@pytest.fixture(scope="module")
def model(engine):
    return LocalChat(engine, name="tiny", identity="tiny", provenance={}, template="llm_jp_v1.3")


def _request(id, text, **fields):
    messages = (Message(role="user", content=text),)
    return ChatRequest(id=id, messages=messages, **{"max_tokens": 6} | fields)


def _replies(model, requests):
    replies = {}
    model.reply(requests, replies.update, before=Usage())
    return [replies[index] for index in range(len(requests))]


def test_answers_are_those_of_the_engine_whatever_stands_beside(model):
    requests = [_request(str(index), "猫" * (index + 1)) for index in range(5)]
    together = _replies(model, requests)
    alone = [_replies(model, [request])[0] for request in requests]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert all(0 < reply.completion_tokens <= 6 for reply in together)
    assert together[0].prompt_tokens < together[4].prompt_tokens


def test_a_seed_fixes_a_sample_and_the_id_tells_samples_apart(model):
    asked = {"temperature": 2.0, "max_tokens": 16}
    first, same, other = _replies(
        model,
        [
            _request("0", "猫", seed=1, **asked),
            _request("0", "猫", seed=1, **asked),
            _request("1", "猫", seed=1, **asked),
        ],
    )
    assert first.text == same.text != other.text


def test_choices_are_scored_behind_the_prompt(model, engine, tiny_tokenizer):
    request = _request("0", "猫", choices=("[[1]]", "[[10]]", "はい"))
    written, scored = _replies(model, [_request("1", "猫"), request])
    assert written.text
    assert scored.finish_reason == "choices"
    assert len(scored.logprobs) == 3
    prompt = get_template("llm_jp_v1.3").prompt_ids(tiny_tokenizer, request.messages)
    expected = engine.score(
        [
            ScoreRequest(
                id=choice,
                prompt_ids=tuple(prompt.tolist()),
                continuation_ids=tuple(tiny_tokenizer.encode_continuation(choice)),
            )
            for choice in request.choices
        ]
    )
    np.testing.assert_allclose(
        scored.logprobs, [score.logprob for score in expected], atol=1e-4, rtol=0
    )
    assert all(math.isfinite(value) and value < 0 for value in scored.logprobs)


def test_a_conversation_that_is_too_long_fails_alone(model):
    short, long = _replies(model, [_request("0", "猫"), _request("1", "猫" * 400)])
    assert short.text
    assert "tiny has 256" in long.error
    (scored,) = _replies(model, [_request("2", "猫" * 400, choices=("1", "2"))])
    assert "positions" in scored.error
