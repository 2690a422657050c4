"""Contract: answers are the same in whatever order the requests are given.

There are more requests than rows, so rows are refilled all the time, beside ever other neighbours.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxllm.decode import Engine, Request
from jaxllm.decode.requests import resampled

_NUM_REQUESTS = 24


def _plain_requests(vocab_size: int) -> list[Request]:
    """Prompts with and without a common beginning.

    Lengths and caps are few: where they are equal, the order given is the order of the schedule.
    All programs that variants of them need are compiled for them too: some have a penalty, and all
    an end of their own.
    """
    rng = np.random.default_rng(0)
    beginnings = [(), *(tuple(rng.integers(3, vocab_size, 48).tolist()) for _ in range(2))]
    return [
        Request(
            id=f"r{index}",
            prompt_ids=(
                *beginnings[index % 3],
                *rng.integers(3, vocab_size, rng.choice([2, 15])).tolist(),
            ),
            max_new_tokens=int(rng.choice([1, 9, 16])),
            repetition_penalty=1.3 if index % 8 == 3 else 1.0,
            stop_ids=(vocab_size - 1,),
        )
        for index in range(_NUM_REQUESTS)
    ]


def _varied(request: Request, number: int, ids: tuple[int, ...], text: str) -> Request:
    """The request as it is, ending earlier than `ids` or `text` do, or sampled."""
    sampled = dataclasses.replace(request, temperature=0.9, seed=7)
    return [
        request,
        dataclasses.replace(request, stop=("never\0", text[1:3] or "?")),
        dataclasses.replace(request, stop_ids=(ids[len(ids) // 2],)),
        request,  # with a penalty
        sampled,
        # The next sample of the prompt before, under the same id.
        dataclasses.replace(resampled(sampled, 1), top_p=0.9),
        dataclasses.replace(sampled, top_k=20, min_p=0.02, stop=(text[:1] or "?",)),
        dataclasses.replace(sampled, ignore_eos=True, repetition_penalty=0.8),
    ][number % 8]


@pytest.fixture(scope="module")
def answers(tiny_config, tiny_params, tiny_tokenizer):
    """From requests and a number of rows to the answer of each request."""
    engines = {
        rows: Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=rows, row_length=32)
        for rows in (2, 4)
    }

    def answers(requests, rows):
        return dict(zip(requests, engines[rows].generate(requests), strict=True))

    return answers


@pytest.fixture(scope="module")
def requests(answers, tiny_tokenizer):
    plain = answers(_plain_requests(tiny_tokenizer.vocab_size), 4)
    return [
        _varied(request, number, answer.token_ids, answer.text)
        for number, (request, answer) in enumerate(plain.items())
    ]


@pytest.fixture(scope="module")
def in_order(answers, requests):
    in_order = answers(requests, 4)
    assert len(in_order) == _NUM_REQUESTS
    reasons = [answer.finish_reason for answer in in_order.values()]
    assert min(map(reasons.count, ("eos", "stop", "length"))) >= 2
    return in_order


@settings(max_examples=12)
@given(order=st.permutations(range(_NUM_REQUESTS)), rows=st.sampled_from([2, 4]))
def test_slots_in_any_order(answers, requests, in_order, order, rows):
    for request, answer in answers([requests[index] for index in order], rows).items():
        expected = in_order[request]
        assert dataclasses.replace(answer, logprob=expected.logprob) == expected
        assert answer.logprob == pytest.approx(expected.logprob, abs=1e-5, rel=1e-5)
