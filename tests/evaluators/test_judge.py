"""A judge reads what live weights answer, and a model at an endpoint stands in the same tables."""

from __future__ import annotations

import json

import pytest
import yaml
from ml_collections import ConfigDict

from jaxllm.chat.endpoint import Endpoint, EndpointSettings
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, make_evaluators
from jaxllm.reporting.results import find_results, read_result
from jaxllm.text.characters import Characters


@pytest.fixture
def context(tiny_config, tiny_tokenizer, tmp_path):
    return EvalContext(
        model_config=tiny_config,
        tokenizer=tiny_tokenizer,
        mesh=None,
        data_dir=tmp_path,
        name="tiny",
        source="nowhere",
    )


@pytest.fixture
def remote(fake_endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-fake")
    return EvalContext(
        model_config=None,
        tokenizer=Characters("far"),
        mesh=None,
        data_dir=tmp_path,
        name="far",
        source=fake_endpoint.url,
        endpoint=Endpoint(EndpointSettings(model="far", base_url=fake_endpoint.url)),
    )


@pytest.fixture
def entry(tmp_path):
    """An entry whose judge has no number for the second of three questions."""
    definition = {
        "name": "mine",
        "answers": {"max_tokens": 4},
        "rubrics": [
            {
                "name": "first",
                "scales": {"rating": [1, 10]},
                "parser": {"regex": r"\[\[(\d+)\]\]"},
                "prompt": "{id}: {answer} {question}",
            }
        ],
        "questions": [{"id": str(n), "prompt": "猫" * n} for n in (1, 2, 3)],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(definition))
    rules = ({"contains": "2: ", "reply": "none"}, {"reply": "[[8]]"})
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return {
        "type": "judge",
        "benchmark": str(tmp_path / "mine.yaml"),
        "template": "llm_jp_v1.3",
        "judge": {"type": "scripted", "script": str(tmp_path / "script.jsonl")},
    }


def _make(context, entry):
    (item,) = make_evaluators(ConfigDict({"mine": entry}), context)
    return item


def test_live_weights_are_judged_at_each_step(context, tiny_params, entry, tmp_path):
    item = _make(context, {**entry, "every": 5})
    assert (item.is_due(5, 12), item.is_due(6, 12)) == (True, False)
    for step in (5, 10):
        numbers = item.run(tiny_params, step=step, tokens=100 * step, workdir=tmp_path)
        assert numbers == {"rating": 8.0, "worst case": (8 + 1 + 8) / 3, "missing": 1}
    found = find_results([tmp_path])
    assert [(result.step, result.record["run"]["tokens"]) for result in found.results] == [
        *((5, 500), (10, 1000))
    ]
    record = found.results[0].record
    assert record["model"]["weights_digest"]
    assert record["judge"]["reasons"] == {"no score for rating": 1}
    timings = [json.loads((result.folder / "timings.json").read_text()) for result in found.results]
    assert [entry["calls"] for entry in timings] == [3, 0]  # the same answers were judged before


def test_a_local_judge_scores_by_likelihood(context, tiny_params, entry, tiny_run, tmp_path):
    judge = {"type": "local", "model": str(tiny_run), "template": "llm_jp_v1.3"}
    item = _make(context, {**entry, "judge": judge, "expected_scores": True})
    numbers = item.run(tiny_params, step=None, tokens=None, workdir=tmp_path)
    assert 1 < numbers["rating"] < 10
    assert numbers["missing"] == 0
    record = read_result(tmp_path / "evals" / "mine" / "final").record
    assert record["judge"]["type"] == "local"
    assert record["judge"]["weights_digest"] != record["model"]["weights_digest"]


def test_some_are_asked_and_of_those_some_judged(context, tiny_params, entry, tmp_path):
    item = _make(context, {**entry, "max_samples": 2, "max_judged": 1, "num_samples": 1})
    item.run(tiny_params, step=None, tokens=None, workdir=tmp_path)
    folder = tmp_path / "evals" / "mine" / "final"
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 2
    assert len((folder / "judgments.jsonl").read_text().splitlines()) == 1


def test_an_endpoint_answers_what_a_judge_reads(remote, fake_endpoint, entry, tmp_path):
    fake_endpoint.answer = lambda body: "にゃあ"
    item = _make(remote, {**entry, "system": "短く。"})
    assert item.run({}, step=None, tokens=None, workdir=tmp_path)["rating"] == 8.0
    assert fake_endpoint.bodies[0]["messages"][0] == {"role": "system", "content": "短く。"}
    record = read_result(tmp_path / "evals" / "mine" / "final").record
    assert record["model"]["base_url"] == fake_endpoint.url


def test_an_endpoint_answers_tasks(remote, fake_endpoint, tiny_questions, tmp_path):
    fake_endpoint.answer = lambda body: "はい\n\n次"
    fake_endpoint.trouble = {"busy": 0.2, "no_json": 0.2}
    asked = {
        "type": "generate",
        "task": f"jsonl:{tiny_questions}",
        "metrics": ("exact_match",),
        "max_samples": 12,
        "num_shots": 2,
        "stop": ("\n\n",),
        "max_new_tokens": 9,
    }
    numbers = _make(remote, {**asked, "template": "chat"}).run(
        {}, step=None, tokens=None, workdir=tmp_path
    )
    assert numbers["exact_match"] == pytest.approx(8 / 12)
    body = fake_endpoint.answered[0]
    assert [message["role"] for message in body["messages"]] == [
        *("user", "assistant", "user", "assistant", "user")
    ]
    assert (body["max_tokens"], body["temperature"]) == (9, 0.0)
    answered = len(fake_endpoint.answered)
    assert answered == 12
    _make(remote, {**asked, "template": "chat"}).run({}, step=None, tokens=None, workdir=tmp_path)
    assert len(fake_endpoint.answered) == answered  # the journal knows them
    _make(remote, {**asked, "template": "llm_jp_v1.3"}).run(
        {}, step=None, tokens=None, workdir=tmp_path / "plain"
    )
    (message,) = fake_endpoint.answered[-1]["messages"]
    assert message["content"].startswith("以下は、タスクを説明する指示と、文脈のある入力")
    record = read_result(tmp_path / "evals" / "mine" / "final").record
    assert record["model"]["num_params"] is None
    assert record["tasks"][f"jsonl:{tiny_questions}"]["num_samples"] == 12


def test_what_an_endpoint_refuses_is_an_empty_answer_and_what_fails_is_none(
    remote, fake_endpoint, tiny_questions, tmp_path, capsys
):
    asked = {"type": "generate", "task": f"jsonl:{tiny_questions}", "max_samples": 3}
    item = _make(remote, {**asked, "template": "chat", "metrics": ("exact_match",)})
    fake_endpoint.status, fake_endpoint.message = 400, "not allowed"
    numbers = item.run({}, step=None, tokens=None, workdir=tmp_path / "refused")
    assert numbers["exact_match"] == 0
    assert "counts as an empty answer" in capsys.readouterr().err
    fake_endpoint.status, fake_endpoint.message = 409, "later"
    with pytest.raises(UserError, match="2 of 2 calls have no answer"):
        _make(
            _without_retries(remote, fake_endpoint),
            {**asked, "template": "chat", "metrics": ("exact_match",), "max_samples": 2},
        ).run({}, step=None, tokens=None, workdir=tmp_path / "failed")
    assert not (tmp_path / "failed/evals/mine/final/result.json").exists()


def _without_retries(context, fake_endpoint):
    settings = EndpointSettings(model="far", base_url=fake_endpoint.url, max_retries=0)
    return EvalContext(**{**vars(context), "endpoint": Endpoint(settings)})


@pytest.mark.parametrize("kind", ["score", "loss"])
def test_an_endpoint_has_no_weights(remote, tiny_questions, kind):
    settings = (
        {"tasks": (f"jsonl:{tiny_questions}",)}
        if kind == "score"
        else {"source": f"jsonl:{tiny_questions}"}
    )
    with pytest.raises(UserError, match=f"type '{kind}' needs the model's weights"):
        _make(remote, {"type": kind, **settings})


@pytest.mark.parametrize(
    "change, part",
    [
        ({"benchmark": "mt_bench"}, "did you mean mt_bench_"),
        ({"preset": "fastchat"}, "has no benchmark mine"),
        ({"judge": {}}, "type='' is no kind of model"),
        ({"judge": {"type": "api"}}, "needs model"),
        ({"judge": {"type": "api", "model": "m", "modell": "n"}}, "did you mean 'model'"),
        ({"judge": {"type": "api", "model": "m", "api_key": "sk-1"}}, "api_key is no setting"),
        ({"judge": {"type": "scripted"}}, "needs script"),
        ({"judge": "gpt-4"}, "it takes a group of settings"),
        ({"votes": 3}, "would all be the same"),
        ({"num_samples": 0}, "at least once"),
        ({"judgee": 1}, "did you mean 'judge'"),
    ],
)
def test_settings_that_make_no_sense(context, entry, change, part):
    with pytest.raises(UserError, match=part):
        _make(context, {**entry, **change})
