"""A benchmark of one's own, small enough to look through."""

from __future__ import annotations

import json

import pytest
import yaml

from jaxllm.judging.definition import get_benchmark

_DEFINITION = {
    "name": "polite",
    "system": "You are polite.",
    "answers": {"max_tokens": 16, "temperature": 0.5, "seed": 7},
    "judge": {"max_tokens": 32},
    "rubrics": [
        {
            "name": "first",
            "scales": {"politeness": [1, 5]},
            "parser": {"regex": r"\[\[(\d)\]\]"},
            "prompt": "How polite is\n{answer}\nto {question}?",
        }
    ],
    "metrics": [
        {"name": "politeness", "score": "politeness"},
        {"name": "rude_rate", "score": "politeness", "below": 3},
        {"name": "kind_rate", "score": "politeness", "above": 3},
    ],
    "questions": [{"id": name, "prompt": f"question {name}"} for name in "abcd"],
}


@pytest.fixture
def definition():
    """The definition as a mapping that a test may change."""
    return json.loads(json.dumps(_DEFINITION))


@pytest.fixture
def write(tmp_path):
    """From a definition to the benchmark that its file holds."""

    def written(definition):
        path = tmp_path / "polite.yaml"
        path.write_text(yaml.safe_dump(definition, allow_unicode=True), encoding="utf-8")
        return get_benchmark(str(path))

    return written


@pytest.fixture
def polite(definition, write):
    return write(definition)
