from __future__ import annotations

import collections
import itertools

import pytest

from jaxllm.annotation.order import conversations, shuffled

_MODELS = {"q0": ["a", "b", "c"], "q1": ["a", "c"], "q2": ["b"]}


def _shown(found):
    return [(conversation.question, *conversation.models) for conversation in found]


def test_rating_shows_every_answer_and_pairwise_every_pair():
    assert len(conversations("rating", _MODELS)) == 6
    pairs = [("q0", "a", "b"), ("q0", "a", "c"), ("q0", "b", "c"), ("q1", "a", "c")]
    assert _shown(conversations("pairwise", _MODELS)) == pairs
    with_b = conversations("pairwise", _MODELS, baseline="b")
    assert _shown(with_b) == [("q0", "a", "b"), ("q0", "b", "c")]


@pytest.mark.parametrize("kind", ["rating", "pairwise"])
def test_an_order_is_a_shuffle_of_all_that_the_seed_alone_decides(kind):
    every = conversations(kind, {f"q{n}": ["a", "b", "c"] for n in range(40)})
    order = shuffled(every, seed="0 aiko")
    assert order == shuffled(every, seed="0 aiko")
    assert order != shuffled(every, seed="0 ben")
    assert order != shuffled(every, seed="1 aiko")
    same = lambda found: sorted((c.question, *sorted(c.models)) for c in found)  # noqa: E731
    assert same(order) == same(every)


def test_half_of_the_pairs_change_sides_and_not_by_turns():
    every = conversations("pairwise", {f"q{n}": ["a", "b"] for n in range(60)})
    first = [conversation.models[0] for conversation in shuffled(every, seed="0 aiko")]
    assert collections.Counter(first) == {"a": 30, "b": 30}
    repeats = sum(one == other for one, other in itertools.pairwise(first))
    assert 15 < repeats < 45
