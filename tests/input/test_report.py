from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from jaxllm.input.mixture import Mixture
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.report import describe_input, format_examples, format_input
from jaxllm.text.spans import Rendered


@pytest.fixture
def mixture(make_source):
    first = make_source("first", [2, 3, 4, 5, 9])
    counts = dataclasses.replace(
        first.counts, read=10, truncated=1, dropped_long=2, dropped_untrained=1, held_out=2
    )
    sources = (dataclasses.replace(first, counts=counts), make_source("second", [17] * 5))
    plan = make_plan(
        [plan_source(source) for source in sources],
        seed=0,
        rows_per_step=3,
        row_length=32,
        num_epochs=2,
    )
    missing = {"third": "the page where it is kept"}
    return Mixture(sources=sources, plan=plan, missing=missing)


def test_the_facts(mixture) -> None:
    facts = describe_input(mixture)
    assert facts["sources"][0] == {
        "name": "first",
        "examples_read": 10,
        "examples": 5,
        "held_out": 2,
        "truncated": 1,
        "dropped_long": 2,
        "dropped_untrained": 1,
        "tokens": 23,
        "trained_share": 18 / 23,
        "draw_share": 0.5,
        "token_share": 23 / 108,
    }
    assert facts["examples"] == 10
    assert facts["tokens"] == 108
    assert facts["trained_share"] == 98 / 108
    assert facts["length_histogram"] == {2: 1, 4: 2, 8: 1, 16: 1, 32: 5}
    assert facts["epochs"] == 2
    used = 2 * 98
    assert facts["padding_share"] == pytest.approx(1 - used / (facts["steps"] * 3 * 32))
    assert json.loads(json.dumps(facts["sources"])) == facts["sources"]


def test_the_text_names_every_source_and_the_padding(mixture) -> None:
    facts = describe_input(mixture)
    text = format_input(facts)
    assert "first" in text
    assert "second" in text
    assert "left out, for they are not here: third" in text
    assert f"{facts['padding_share']:.1%} padding" in text
    assert "10 examples, 108 tokens, 90.7% of them trained" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_first_examples_come_from_several_sources(mixture) -> None:
    shown = mixture.first_examples(3)
    names = [origin.partition(":")[0] for origin, _ in shown]
    assert set(names[:2]) == {"first", "second"}
    assert len({origin for origin, _ in shown}) == 3
    for origin, rendered in shown:
        source = mixture.sources[origin.startswith("second")]
        index = source.example_ids.index(origin.partition(": ")[2])
        begin, end = source.offsets[index : index + 2]
        assert rendered.ids.tolist() == source.ids[begin:end].tolist()
        assert len(rendered.loss_weights) == end - begin
    assert len(mixture.first_examples(100)) == len(mixture.plan.source_ids)


def test_examples_are_shown_with_what_is_trained_and_long_ones_cut(tiny_tokenizer) -> None:
    texts = [("問い", "答え"), ("猫" * 3000, "です")]
    examples = []
    for question, answer in texts:
        ids = [tiny_tokenizer.encode(question), tiny_tokenizer.encode_continuation(answer)]
        weights = np.repeat([0.0, 1.0], [len(part) for part in ids]).astype(np.float32)
        rendered = Rendered(ids=np.array(ids[0] + ids[1], np.int32), loss_weights=weights)
        examples.append((f"a.jsonl:{len(examples)}", rendered))
    lines = format_examples(examples, tiny_tokenizer).splitlines()
    assert lines[1].startswith("--- a.jsonl:0 (")
    assert lines[2] == "問い[[答え]]"
    assert lines[4].startswith("猫猫")
    assert lines[4].endswith("猫[[です]]")
    assert " ... 2,006 characters ... " in lines[4]
