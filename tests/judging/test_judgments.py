"""From questions to answers to judgments: what is asked, how often, and what is missing."""

from __future__ import annotations

import dataclasses
import json

import pytest

from jaxllm.chat import CallJournal, ChatReply
from jaxllm.errors import UserError
from jaxllm.judging.answers import Answer, collect_answers
from jaxllm.judging.benchmark import Question
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.judgments import NO_ANSWER, adopt, check_votes, judge_answers
from jaxllm.judging.presets import with_preset


class Recorder:
    """A model that answers `answer(request)`, which may be an error, and keeps what it is asked."""

    name, provenance = "recorder", {"type": "scripted", "model": "recorder"}

    def __init__(self, answer, *, repeats=False, identity="recorder"):
        self.answer, self.repeats, self.identity = answer, repeats, identity
        self.asked = []

    def reply(self, requests, on_replies, *, before):
        for index, request in reversed(list(enumerate(requests))):
            self.asked.append(request)
            reply = self.answer(request)
            on_replies({index: reply if isinstance(reply, ChatReply) else ChatReply(text=reply)})

    def cost(self, usage):
        return None


@pytest.fixture
def journal(tmp_path):
    with CallJournal(tmp_path / "journal") as journal:
        yield journal


def _questions(polite):
    return [
        Question(id=record["id"], category="", turns=(record["prompt"],))
        for record in polite.inline
    ]


def _answers(questions, text="fine"):
    return [Answer(question=question.id, sample=0, turns=(text,)) for question in questions]


def test_all_first_turns_then_all_second_ones(journal):
    benchmark = get_benchmark("mt_bench_ja")
    questions = [
        Question(id="1", category="math", turns=("a", "b")),
        Question(id="2", category="writing", turns=("c", "d")),
    ]
    model = Recorder(lambda request: f"to {request.messages[-1].content}")
    answers = collect_answers(benchmark, questions, model, journal, num_samples=2)
    assert [(answer.question, answer.sample, answer.turns) for answer in answers] == [
        ("1", 0, ("to a", "to b")),
        ("1", 1, ("to a", "to b")),
        ("2", 0, ("to c", "to d")),
        ("2", 1, ("to c", "to d")),
    ]
    turns = [len(request.messages) for request in model.asked]
    assert turns == [2, 2, 2, 2, 4, 4, 4, 4]
    second = next(request for request in model.asked if len(request.messages) == 4)
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "user"]
    assert {request.temperature for request in model.asked} == {0.0, 0.7}
    collect_answers(benchmark, questions, model, journal, num_samples=2)
    assert len(model.asked) == 8


def test_samples_have_seeds_of_their_own(polite, journal):
    model = Recorder(lambda request: "yes")
    collect_answers(polite, _questions(polite)[:1], model, journal, num_samples=3)
    assert sorted(request.seed for request in model.asked) == [7, 8, 9]


def test_no_second_turn_without_a_first_one_and_none_is_judged(journal):
    benchmark = get_benchmark("mt_bench_en")
    question = Question(id="81", category="writing", turns=("a", "b"))
    model = Recorder(lambda request: ChatReply(error="busy"))
    (answer,) = collect_answers(benchmark, [question], model, journal)
    assert (answer.turns, answer.errors) == ((None, None), ("busy",))
    assert len(model.asked) == 1
    judge = Recorder(lambda request: "[[5]]")
    judgments = judge_answers(benchmark, [question], [answer], judge, journal)
    assert [(one.turn, one.scores, one.reason) for one in judgments] == [
        (1, None, NO_ANSWER),
        (2, None, NO_ANSWER),
    ]
    assert not judge.asked
    theirs = with_preset(benchmark, "llm-jp-judge-v2-compat")
    assert all(one.scores for one in judge_answers(theirs, [question], [answer], judge, journal))
    assert any("### Assistant A:\nNone\n" in r.messages[-1].content for r in judge.asked)


def test_what_cannot_be_read_is_asked_again_and_then_missing(polite, journal):
    def answer(request):
        tries = int(request.id.rpartition("/")[2])
        if "question a" in request.messages[-1].content:
            return "no number"
        return "[[4]]" if "question b" not in request.messages[-1].content or tries else "[[9]]"

    judge, questions = Recorder(answer), _questions(polite)
    judgments = judge_answers(polite, questions, _answers(questions), judge, journal)
    assert [one.scores for one in judgments] == [None, *[{"politeness": 4}] * 3]
    assert [one.tries for one in judgments] == [3, 2, 1, 1]
    assert [one.text for one in judgments] == ["no number", "[[4]]", "[[4]]", "[[4]]"]
    assert judgments[0].reason == "no score for politeness"
    assert len(judge.asked) == 3 + 2 + 1 + 1
    again = judge_answers(polite, questions, _answers(questions), judge, journal)
    assert (again, len(judge.asked)) == (judgments, 7)


def test_a_judge_that_repeats_itself_is_not_asked_again(polite, journal):
    judge, questions = Recorder(lambda request: "?", repeats=True), _questions(polite)
    judgments = judge_answers(polite, questions, _answers(questions), judge, journal)
    assert [one.tries for one in judgments] == [1, 1, 1, 1]
    with pytest.raises(UserError, match="would all be the same"):
        check_votes(polite, 3, repeats=True)
    check_votes(polite, 3, repeats=False)
    with pytest.raises(UserError, match="at least once"):
        check_votes(polite, 0, repeats=True)


def test_a_call_that_fails_is_missing_and_asked_when_it_is_run_again(polite, journal):
    questions = _questions(polite)
    judge = Recorder(lambda request: ChatReply(error="busy"))
    first = judge_answers(polite, questions, _answers(questions), judge, journal)
    assert [(one.scores, one.reason) for one in first] == [(None, "busy")] * 4
    assert len(judge.asked) == 4
    judge.answer = lambda request: "[[3]]"
    second = judge_answers(polite, questions, _answers(questions), judge, journal)
    assert [one.scores for one in second] == [{"politeness": 3}] * 4


def test_votes_and_samples(polite, journal):
    questions = _questions(polite)[:1]
    answers = [Answer(question="a", sample=sample, turns=(f"text {sample}",)) for sample in (0, 1)]
    judge = Recorder(lambda request: f"[[{1 + int(request.id.split('/')[-2])}]]")
    judgments = judge_answers(polite, questions, answers, judge, journal, votes=3)
    assert [(one.sample, one.vote, one.scores["politeness"]) for one in judgments] == [
        *((0, 0, 1), (0, 1, 2), (0, 2, 3)),
        *((1, 0, 1), (1, 1, 2), (1, 2, 3)),
    ]
    first_only = dataclasses.replace(polite, first_sample_only=True)
    assert {
        one.sample for one in judge_answers(first_only, questions, answers, judge, journal)
    } == {0}


def test_presets_give_scores_to_what_failed(journal):
    benchmark = with_preset(get_benchmark("safety_ja"), "llm-jp-judge-v1")
    question = Question(id="1", category="", turns=("a",), references=("no",))
    judge = Recorder(lambda request: ChatReply(error="content filter"))
    (judgment,) = judge_answers(benchmark, [question], _answers([question]), judge, journal)
    assert (judgment.scores, judgment.imputed) == ({"safety": 1.0}, True)
    culture = with_preset(get_benchmark("culture_ja"), "llm-jp-judge-v2-compat")
    (judgment,) = judge_answers(culture, [question], _answers([question], ""), judge, journal)
    assert (judgment.scores, judgment.imputed, judgment.tries) == ({"culture": 1.0}, True, 0)


def test_likelihoods_become_scores(definition, write, journal):
    definition["rubrics"][0]["parser"] = {"expected": "[[{}]]"}
    benchmark = write(definition)
    questions = _questions(benchmark)[:1]
    judge = Recorder(lambda request: ChatReply(logprobs=(-99.0, -99.0, -99.0, -1.0, -1.0)))
    (judgment,) = judge_answers(benchmark, questions, _answers(questions), judge, journal)
    assert judgment.scores["politeness"] == pytest.approx(4.5)
    assert judge.asked[0].choices == ("[[1]]", "[[2]]", "[[3]]", "[[4]]", "[[5]]")


def test_a_schema_is_asked_for(definition, write, journal):
    definition["rubrics"][0]["parser"] = {"json": True}
    benchmark = write(definition)
    questions = _questions(benchmark)[:1]
    judge = Recorder(lambda request: json.dumps({"explanation": "", "politeness": 2}))
    (judgment,) = judge_answers(benchmark, questions, _answers(questions), judge, journal)
    assert judgment.scores == {"politeness": 2}
    assert judge.asked[0].response_schema["properties"]["politeness"]["enum"] == [1, 2, 3, 4, 5]


def test_what_a_judge_said_elsewhere_is_not_asked_for_again(polite, journal, tmp_path):
    questions = _questions(polite)
    judge = Recorder(lambda request: "[[2]]")
    given = judge_answers(polite, questions[:3], _answers(questions[:3]), judge, journal)
    changed = dataclasses.replace(given[2], prompt=given[2].prompt + " ")  # another answer's
    fresh = Recorder(lambda request: "[[5]]")
    with CallJournal(tmp_path / "fresh") as empty:
        taken = adopt(polite, questions, _answers(questions), [*given[:2], changed], fresh, empty)
        judgments = judge_answers(polite, questions, _answers(questions), fresh, empty)
    assert (taken, len(fresh.asked)) == (2, 2)
    assert [one.scores["politeness"] for one in judgments] == [2, 2, 5, 5]
