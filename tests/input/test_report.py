from __future__ import annotations

import dataclasses
import json

import pytest

from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.report import describe_input, format_input


@pytest.fixture
def facts(make_source):
    first = make_source("first", [2, 3, 4, 5, 9])
    counts = dataclasses.replace(first.counts, read=8, truncated=1, dropped_long=2)
    first = dataclasses.replace(first, counts=dataclasses.replace(counts, dropped_untrained=1))
    tokenized = [first, make_source("second", [17] * 5)]
    plan = make_plan(
        [plan_source(source) for source in tokenized],
        seed=0,
        rows_per_step=3,
        row_length=32,
        num_epochs=2,
    )
    return describe_input(plan, tokenized)


def test_the_facts(facts) -> None:
    assert facts["sources"][0] == {
        "name": "first",
        "examples_read": 8,
        "examples": 5,
        "truncated": 1,
        "dropped_long": 2,
        "dropped_untrained": 1,
        "tokens": 23,
        "trained_share": 18 / 23,
        "draw_share": 0.5,
    }
    assert facts["examples"] == 10
    assert facts["tokens"] == 108
    assert facts["trained_share"] == 98 / 108
    assert facts["length_histogram"] == {2: 1, 4: 2, 8: 1, 16: 1, 32: 5}
    assert facts["epochs"] == 2
    used = 2 * 98
    assert facts["padding_share"] == pytest.approx(1 - used / (facts["steps"] * 3 * 32))
    assert json.loads(json.dumps(facts["sources"])) == facts["sources"]


def test_the_text_names_every_source_and_the_padding(facts) -> None:
    text = format_input(facts)
    assert "first" in text
    assert "second" in text
    assert f"{facts['padding_share']:.1%} padding" in text
    assert "10 examples, 108 tokens, 90.7% of them trained" in text
    assert max(map(len, text.splitlines())) <= 120
