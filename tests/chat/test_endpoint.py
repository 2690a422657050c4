"""An endpoint that is asked: retried, paced, capped, and never told on."""

from __future__ import annotations

import json
import threading

import pytest

from jaxllm.chat import CallJournal, ChatRequest, Usage, ask
from jaxllm.chat.endpoint import REFUSED, Endpoint, EndpointSettings
from jaxllm.errors import UserError
from jaxllm.text.example import Message

_KEY = "sk-fake-0123456789abcdef"


@pytest.fixture
def make(fake_endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)

    def endpoint(**settings):
        return Endpoint(
            EndpointSettings(**{"model": "judge-1", "base_url": fake_endpoint.url} | settings)
        )

    return endpoint


def _requests(count, **fields):
    return [
        ChatRequest(
            id=str(number),
            messages=(Message(role="user", content=f"question {number}"),),
            **{"max_tokens": 8} | fields,
        )
        for number in range(count)
    ]


def _replies(endpoint, requests, *, before=Usage()):  # noqa: B008 (frozen)
    replies = {}

    def keep(new):
        assert threading.current_thread() is threading.main_thread()
        assert not replies.keys() & new.keys(), "a reply came twice"
        replies.update(new)

    endpoint.reply(requests, keep, before=before)
    return [replies[index] for index in range(len(requests))]


def _echo(body):
    return body["messages"][-1]["content"]


def test_answers_stand_where_their_requests_do_though_they_overtake(make, fake_endpoint):
    fake_endpoint.answer, fake_endpoint.delay = _echo, 0.03
    replies = _replies(make(concurrency=8), _requests(60))
    assert [reply.text for reply in replies] == [f"question {number}" for number in range(60)]
    assert [body["messages"][-1]["content"] for body in fake_endpoint.answered] != [
        reply.text for reply in replies
    ]
    assert 1 < fake_endpoint.most_at_once <= 8
    assert (replies[0].prompt_tokens, replies[0].completion_tokens) == (2, 2)
    assert (replies[0].finish_reason, replies[0].error) == ("stop", "")
    assert replies[0].seconds > 0


def test_trouble_is_gone_through(make, fake_endpoint):
    fake_endpoint.answer = _echo
    kinds = ("busy", "broken", "dropped", "cut", "no_json", "no_choices")
    fake_endpoint.trouble = dict.fromkeys(kinds, 0.07)
    replies = _replies(make(concurrency=16), _requests(80))
    assert [reply.text for reply in replies] == [f"question {number}" for number in range(80)]
    assert len(fake_endpoint.bodies) > len(fake_endpoint.answered) == 80


def test_what_is_sent(make, fake_endpoint):
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    _replies(
        make(reasoning_effort="low"),
        _requests(1, temperature=0.7, top_p=0.9, seed=3, response_schema=schema),
    )
    (body,) = fake_endpoint.bodies
    assert body == {
        "model": "judge-1",
        "messages": [{"role": "user", "content": "question 0"}],
        "max_tokens": 8,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 3,
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "judgment", "schema": schema, "strict": True},
        },
    }


def test_models_that_think_are_sent_no_temperature(make, fake_endpoint):
    _replies(make(model="gpt-5-mini"), _requests(1, temperature=0.7, top_p=0.9))
    (body,) = fake_endpoint.bodies
    assert set(body) == {"model", "messages", "max_completion_tokens"}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_a_model_that_is_refused_ends_it_at_once(make, fake_endpoint, status):
    fake_endpoint.status, fake_endpoint.message = status, f"no such thing for {_KEY}"
    with pytest.raises(UserError, match="refuses judge-1") as error:
        _replies(make(concurrency=2), _requests(50))
    assert _KEY not in str(error.value)
    assert len(fake_endpoint.bodies) <= 4


def test_one_question_that_is_refused_is_its_own_failure(make, fake_endpoint):
    fake_endpoint.status, fake_endpoint.message = 400, f"against the rules, {_KEY}"
    (reply,) = _replies(make(), _requests(1))
    assert reply.finish_reason == REFUSED
    assert "against the rules" in reply.error
    assert _KEY not in reply.error


def test_an_endpoint_that_is_gone_is_given_up_with_what_it_answered_kept(make, fake_endpoint):
    def gone_after_ten(body):
        fake_endpoint.status = 500 if len(fake_endpoint.answered) >= 9 else 200
        return "fine"

    fake_endpoint.answer = gone_after_ten
    replies = {}
    with pytest.raises(UserError, match="calls in a row failed"):
        make(concurrency=1, max_retries=0).reply(_requests(100), replies.update, before=Usage())
    assert sum(reply.text == "fine" for reply in replies.values()) == 10
    assert len(replies) == 30


def test_an_endpoint_that_was_never_there_is_given_up_sooner(make):
    with pytest.raises(UserError, match=r"3 calls in a row failed .*Connection error") as error:
        _replies(make(base_url="http://127.0.0.1:9/v1", max_retries=0), _requests(100))
    assert "at http://127.0.0.1:9/v1" in str(error.value)


def test_what_is_under_way_when_it_is_interrupted_is_kept(make, fake_endpoint):
    fake_endpoint.delay = 0.05
    replies = {}

    def interrupted(new):
        replies.update(new)
        if len(replies) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(concurrency=4).reply(_requests(40), interrupted, before=Usage())
    assert len(fake_endpoint.answered) == len(replies) <= 3 + 4


def test_a_rate_is_kept(make):
    replies = _replies(make(requests_per_minute=1200, concurrency=8), _requests(7))
    made_at = sorted(reply.made_at for reply in replies)
    assert made_at[-1] - made_at[0] > 0.2  # 50 ms between two, and some jitter


def test_a_cap_on_tokens_holds_whatever_is_under_way(make, fake_endpoint):
    fake_endpoint.answer = lambda body: "x " * 8  # all it may say
    requests = _requests(50)
    replies = _replies(make(max_total_tokens=400, concurrency=8), requests)
    answered = [reply for reply in replies if not reply.error]
    used = sum(reply.prompt_tokens + reply.completion_tokens for reply in answered)
    assert 300 < used <= 400  # 10 tokens each, and 50 are set aside for each before it is made
    assert {reply.error for reply in replies if reply.error} == {
        "not asked: the cap on tokens or cost is reached"
    }
    assert len(fake_endpoint.bodies) == len(answered)


def test_a_cap_on_cost_counts_what_was_paid_before(make, fake_endpoint):
    endpoint = make(max_cost=1.0, input_price=100.0, output_price=1000.0)
    before = Usage(4000, 500, 100)  # 0.4 + 0.5 of 1.0
    assert endpoint.cost(before) == pytest.approx(0.9)
    replies = _replies(endpoint, _requests(50), before=before)
    answered = [reply for reply in replies if not reply.error]
    assert 0 < len(answered) < 50
    paid = sum(100 * r.prompt_tokens + 1000 * r.completion_tokens for r in answered) / 1e6
    assert paid <= 0.1


def test_a_cap_holds_though_the_endpoint_tells_no_usage(make, fake_endpoint):
    fake_endpoint.tells_usage = False
    replies = _replies(make(max_total_tokens=200), _requests(50))
    assert sum(not reply.error for reply in replies) == 4  # each counts as the most it can be, 50
    assert _replies(make(), _requests(1))[0].prompt_tokens is None


def test_a_journal_asks_nothing_twice(make, fake_endpoint, tmp_path):
    with CallJournal(tmp_path) as journal:
        first = ask(make(), _requests(5), journal, title="first")
    with CallJournal(tmp_path) as journal:
        again = ask(make(), _requests(8), journal, title="again")
    assert again[:5] == first
    assert len(fake_endpoint.bodies) == 8


@pytest.mark.parametrize(
    "settings, part",
    [
        ({"model": ""}, "needs the name of its model"),
        ({"api_key_env": _KEY}, "name of an environment variable"),
        ({"base_url": f"https://me:{_KEY}@example.org/v1"}, "login or a query"),
        ({"base_url": f"https://example.org/v1?key={_KEY}"}, "login or a query"),
        ({"base_url": "example.org/v1"}, "http://HOST"),
        ({"concurrency": 0}, "at least one call"),
        ({"max_cost": 1.0}, "needs input_price"),
    ],
)
def test_settings_that_make_no_sense(settings, part):
    with pytest.raises(UserError, match=part) as error:
        EndpointSettings(**{"model": "judge-1"} | settings)
    assert _KEY not in str(error.value)


def test_openai_itself_wants_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="environment variable OPENAI_API_KEY"):
        Endpoint(EndpointSettings(model="gpt-4o-2024-08-06"))


def test_an_endpoint_tells_no_likelihoods(make):
    with pytest.raises(UserError, match="only a local judge"):
        _replies(make(), _requests(1, choices=("1", "2")))


def test_the_key_goes_to_the_endpoint_and_nowhere_else(make, fake_endpoint):
    endpoint = make()
    _replies(endpoint, _requests(1))
    assert fake_endpoint.keys == [f"Bearer {_KEY}"]
    told = json.dumps([endpoint.identity, endpoint.name, dict(endpoint.provenance)])
    assert _KEY not in told
