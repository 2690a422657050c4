"""Contract secrets_never_written: a key goes to its endpoint, and into no file, log or message."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from jaxllm.evaluate import main as evaluate
from jaxllm.judge import main as judge
from jaxllm.verb import run_verb

_KEY = "sk-proj-fake-7Qp9xT2mZ4"
_REPO = Path(__file__).parents[2]


@pytest.fixture
def benchmark(tmp_path):
    definition = {
        "name": "mine",
        "rubrics": [
            {
                "name": "only",
                "scales": {"rating": [1, 10]},
                "parser": {"regex": r"\[\[(\d+)\]\]"},
                "prompt": "{answer}",
            }
        ],
    }
    path = tmp_path / "mine.jsonl"
    lines = (definition, *({"id": str(n), "prompt": "?"} for n in range(3)))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _is_nowhere(folder, capfd, caplog):
    printed = capfd.readouterr()
    assert _KEY not in printed.out + printed.err + caplog.text
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 3
    for path in paths:
        assert _KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_secrets_never_written(
    benchmark, fake_endpoint, tmp_path, monkeypatch, capfd, caplog, status
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", _KEY)
    fake_endpoint.status = status
    fake_endpoint.message = f"I do not like {_KEY} at all"  # as some endpoints tell it
    fake_endpoint.answer = lambda body: "[[7]]"
    url = f"base_url={fake_endpoint.url}"
    config = f"--config={_REPO}/configs/judge/benchmark.py:{benchmark}"
    at_endpoint = ("type=api", "model=m", url, "api_key_env=MY_KEY", "max_retries=0")
    judges = [f"--judge.{field}" for field in at_endpoint]
    answers = [f"--config.model.{field}" for field in at_endpoint]
    flags = [config, *judges, *answers, f"--workdir={tmp_path / 'work'}"]
    run_verb(judge, [*flags, "--also=llm-jp-judge"])
    evals = f"--config={_REPO}/configs/eval/own_jsonl.py:{_questions(tmp_path)}"
    run_verb(evaluate, [evals, *answers, f"--workdir={tmp_path / 'tasks'}"])
    assert set(fake_endpoint.keys) == {f"Bearer {_KEY}"}
    if status == 200:
        assert (tmp_path / "work/evals/mine/final/result.json").exists()
        assert (tmp_path / "tasks/evals/own/final/result.json").exists()
    _is_nowhere(tmp_path, capfd, caplog)


def _questions(folder):
    path = folder / "questions.jsonl"
    lines = ({"prompt": f"{n}?", "completion": "[[7]]"} for n in range(6))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
