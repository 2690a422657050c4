"""A judge against itself, other judges and people: worked cases, and probes of a scripted judge."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console

from jaxllm.chat import CallJournal
from jaxllm.chat.scripted import ScriptedChat
from jaxllm.errors import UserError
from jaxllm.judging import probes
from jaxllm.judging.answers import Answer
from jaxllm.judging.audit import audit_record
from jaxllm.judging.audit_table import audit_table
from jaxllm.judging.benchmark import Question
from jaxllm.judging.judgments import judge_answers
from jaxllm.judging.raters import Rater, between, length_correlation, within
from jaxllm.judging.ratings import read_ratings

_SCALE = (1.0, 5.0)


def _rater(values, *, name="judge", scale=_SCALE):
    items = {("m", str(n), 0, 1): tuple(map(float, votes)) for n, votes in enumerate(values)}
    return Rater(name=name, scale=scale, values=items)


def test_a_rater_by_itself():
    found = within(_rater([(3, 3), (1, 3), (5,)]))
    assert (found["num_items"], found["num_repeated"]) == (3, 2)
    assert found["equal"] == 0.5
    assert found["mean"] == pytest.approx((3 + 2 + 5) / 3)
    assert found["spread"] == pytest.approx(2**0.5 / 2)
    single = within(_rater([(3,), (1,)]))
    assert (single["equal"], single["spread"], single["krippendorff_alpha"]) == (None, None, None)


def test_two_raters():
    found = between(_rater([(1,), (2,), (3,), (4,)]), _rater([(2,), (1,), (4,), (5,)], name="b"))
    assert found["raters"] == ["judge", "b"]
    # One of six pairs of items is the other way round.
    assert found["kendall"] == pytest.approx((5 - 1) / 6)
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert (found["equal"], found["raised"], found["lowered"]) == (0.0, 0.75, 0.25)
    assert found["difference"]["mean"] == pytest.approx(0.5)
    assert found["difference"]["low"] < 0 < found["difference"]["high"]
    assert found["spearman_of_models"] is None


def test_on_other_scales_only_ranks_are_compared():
    found = between(_rater([(1,), (5,)]), _rater([(2,), (9,)], scale=(1.0, 10.0)))
    assert found["spearman"] == pytest.approx(1.0)
    assert "difference" not in found
    assert between(_rater([(1,)]), dataclasses.replace(_rater([]), name="nobody")) is None
    flat = between(_rater([(3,), (3,)]), _rater([(1,), (2,)]))
    assert (flat["spearman"], flat["kendall"]) == (None, None)


def test_the_judges_order_of_models_against_peoples():
    def rater(by_model, name):
        values = {
            (model, str(n), 0, 1): (value + n % 2,)
            for model, value in by_model.items()
            for n in range(4)
        }
        return Rater(name=name, scale=_SCALE, values=values)

    judge = rater({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, "judge")
    people = rater({"a": 1.0, "b": 2.0, "c": 4.0, "d": 3.0}, "people")
    found = between(judge, people)
    assert (found["num_models"], found["num_items"]) == (4, 16)
    assert found["spearman_of_models"] == pytest.approx(0.8)


def test_lengths():
    answers = {"m": [Answer(question=str(n), sample=0, turns=("x" * n,)) for n in range(4)]}
    assert length_correlation(_rater([(1,), (2,), (3,), (5,)]), answers) == pytest.approx(1.0)
    assert length_correlation(_rater([]), answers) is None


def test_people_of_both_files(tmp_path):
    exported = tmp_path / "export.jsonl"
    line = {"model": "m", "question_id": "1", "turn": 1, "annotator": "aiko", "kind": "rating"}
    lines = [
        line | {"ratings": {"overall": 4, "fluency": None}},
        line | {"annotator": "ben", "ratings": {"overall": 2}},
    ]
    exported.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_ratings(exported) == {"overall": {("m", "1", 0, 1): (4.0, 2.0)}}
    published = tmp_path / "eval.jsonl"
    said = {"llm_a": {"response": "r", "human_evals": {"factuality": [1, 5, "NA", 0]}}}
    published.write_text(json.dumps({"id": "s###1", "turns": [{"prompt": "p", "responses": said}]}))
    assert read_ratings(published) == {"factuality": {("llm_a", "s###1", 0, 1): (1.0, 5.0)}}
    published.write_text('{"id": "s###1", "turns": [{}]}')
    with pytest.raises(UserError, match="line 1: no rating as"):
        read_ratings(published)
    exported.write_text(json.dumps(line | {"ratings": {"overall": None}}))
    with pytest.raises(UserError, match="holds no rating from 1 to 5"):
        read_ratings(exported)
    with pytest.raises(UserError, match="there is no file"):
        read_ratings(tmp_path / "nothing.jsonl")


@pytest.fixture
def probed(definition, write, tmp_path):
    """A judge that likes length and the first place, its judgments, and what the probes came to."""
    pairs = [{"name": "pair", "prompt": "A<{answer_a}> B<{answer_b}>"}]
    benchmark = write({**definition, "pairs": pairs})
    rules = [
        *({"contains": f"is\n{n}\n\n{n}\nto", "reply": f"[[{n + 1}]]"} for n in (2, 3)),
        *({"contains": f"is\n{n}", "reply": f"[[{n}]]"} for n in (2, 3)),
        {"contains": "A<2>", "reply": "[[A]]"},
        {"contains": "A<2", "reply": "[[A]]"},
        {"contains": "A<3>", "reply": "[[B]]"},
        {"contains": "A<3", "reply": "[[A]]"},
    ]
    script = tmp_path / "script.jsonl"
    script.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    judge = ScriptedChat(script)
    questions = [Question(id=n, category="", turns=("q",)) for n in "23"]
    answers = {"m": [Answer(question=n, sample=0, turns=(n,)) for n in "23"]}
    with CallJournal(tmp_path / "journal") as journal:
        asked = (benchmark, questions, answers, judge, journal)
        judged = {
            "j": {"m": judge_answers(benchmark, questions, answers["m"], judge, journal)},
            "again": probes.again(*asked, times=3),
            "padded": probes.padded(*asked, votes=1),
        }
        swapped = probes.swapped(*asked)
        calls = journal.usage(judge.identity).calls
    people = {"overall": {("m", "2", 0, 1): (2.0, 3.0), ("m", "3", 0, 1): (3.0, 3.0)}}
    record = audit_record(benchmark, judged, people=people, answers=answers, swapped=swapped)
    return record, calls


def test_probes(probed):
    record, calls = probed
    assert calls == 2 + 6 + 2 + 4
    found = record["scores"]["politeness"]
    assert found["raters"]["again"]["equal"] == 1.0
    assert found["raters"]["people"]["mean"] == 2.75
    pairs = {tuple(pair["raters"]): pair for pair in found["pairs"]}
    assert pairs["j", "again"]["difference"]["mean"] == 0.0
    longer = pairs["j", "padded"]
    assert (longer["difference"]["mean"], longer["raised"]) == (1.0, 1.0)
    assert pairs["j", "people"]["equal"] == 0.75
    # Of 2 the first always wins, of 3 the longer one.
    assert record["position"]["consistent"] == 0.5
    assert (record["longer"]["wins"], record["longer"]["ties"]) == (1, 1)
    assert record["reasons"] == {}


def test_the_table_fits_a_terminal(probed):
    record, _ = probed
    assert json.loads(json.dumps(record)) == record
    console = Console(width=80)
    with console.capture() as capture:
        console.print(audit_table(record))
    text = capture.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "polite · politeness" in text
    assert "the answer said twice wins 1, ties 1 and loses 0 of them" in text
