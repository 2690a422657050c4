"""Contract: a greedy answer does not depend on what else is in the batch, or on the order.

Only where the two best tokens are closer than 1e-4 may the answers differ.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from jaxllm.decode import Engine, Request
from jaxllm.models.decoder import forward, project_logits

_TIE = 1e-4


@pytest.fixture(scope="module")
def requests(tiny_tokenizer):
    rng = np.random.default_rng(0)
    return [
        Request(
            id=f"r{index}",
            prompt_ids=tuple(rng.integers(3, tiny_tokenizer.vocab_size, length).tolist()),
            max_new_tokens=int(rng.integers(4, 24)),
            ignore_eos=True,
        )
        for index, length in enumerate(rng.integers(1, 60, 32))
    ]


def _margin(params, config, ids, vocab_size):
    """How far the best next token is ahead of the second."""
    tokens = np.asarray(ids, np.int32)[None]
    positions = np.arange(len(ids), dtype=np.int32)[None]
    hidden = forward(params, config, tokens, positions, np.ones_like(tokens))
    best = np.sort(project_logits(params, config, hidden[0, -1])[:vocab_size])[-2:]
    return best[1] - best[0]


@pytest.mark.parametrize("family", ["rope", "learned_positions"])
def test_decode_independent_of_batch(tiny_config, tiny_params, tiny_tokenizer, requests, family):
    config, params = tiny_config, tiny_params
    if family == "learned_positions":
        table = 0.3 * jax.random.normal(jax.random.key(1), (256, 32))
        config = config.replace(positions="learned")
        params = {**params, "embed": {**params["embed"], "positions": table}}

    def answers(max_rows, order):
        engine = Engine(params, config, tiny_tokenizer, max_rows=max_rows)
        return {a.id: a.token_ids for a in engine.generate([requests[i] for i in order])}

    shuffled = np.random.default_rng(1).permutation(len(requests))
    alone = answers(1, range(len(requests)))
    assert len(set(alone.values())) == len(requests)
    ties = 0
    for max_rows, order in ((8, range(32)), (32, range(32)), (8, shuffled), (32, shuffled[::-1])):
        for name, found in answers(max_rows, order).items():
            if found == alone[name]:
                continue
            request = next(r for r in requests if r.id == name)
            at = next(i for i, token in enumerate(found) if token != alone[name][i])
            ids = (*request.prompt_ids, *found[:at])
            assert _margin(params, config, ids, tiny_tokenizer.vocab_size) < _TIE
            ties += 1
    assert ties <= 1


def test_stopped_answers_are_independent_of_batch(
    tiny_config, tiny_params, tiny_tokenizer, requests
):
    """Stop strings are looked for now and then: what comes behind one must not show."""

    def answers(asked, max_rows):
        engine = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=max_rows)
        return {answer.id: answer for answer in engine.generate(asked)}

    plain = answers(requests, 1)
    # Every second answer that is long enough stops inside its own text; the others never do.
    stops = {name: answer.text[1:3] for name, answer in plain.items() if len(answer.text) > 4}
    stops = dict(list(stops.items())[::2])
    stopping = [
        dataclasses.replace(request, stop=("never\0", stops[request.id]))
        if request.id in stops
        else request
        for request in requests
    ]
    alone = answers(stopping, 1)
    assert len(stops) > 8
    for request in requests:
        is_stopped = request.id in stops
        assert alone[request.id].finish_reason == ("stop" if is_stopped else "length")
        assert (alone[request.id].token_ids != plain[request.id].token_ids) == is_stopped
    for asked, max_rows in ((stopping, 8), (stopping[::-1], 32)):
        for name, found in answers(asked, max_rows).items():
            assert (found.text, found.token_ids, found.finish_reason) == (
                alone[name].text,
                alone[name].token_ids,
                alone[name].finish_reason,
            )
            assert found.logprob == pytest.approx(alone[name].logprob, abs=1e-3)
