"""Two models' answers compared: what is asked, both orders merged, FastChat's lines, the table."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console

from jaxllm.chat import CallJournal
from jaxllm.chat.scripted import ScriptedChat
from jaxllm.errors import UserError
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Question
from jaxllm.judging.comparisons import compare_answers, merged, position_bias
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.fastchat_pairs import pair_lines, read_pairs
from jaxllm.judging.pairwise import pairwise_record
from jaxllm.judging.pairwise_table import pairwise_table
from jaxllm.judging.parsers import NoScore
from jaxllm.judging.presets import with_preset
from jaxllm.reporting.win_rates import LOSS, TIE, WIN, Comparison

_PAIRS = [{"name": "politer", "prompt": "{question}: A {answer_a} B {answer_b}"}]


@pytest.fixture
def benchmark(definition, write):
    return write({**definition, "pairs": _PAIRS})


@pytest.fixture
def questions():
    return [Question(id=name, category="", turns=(f"q{name}",)) for name in "123"]


@pytest.fixture
def answers():
    """`good` is better on 1 and 2, the place decides on 3, and `mute` answers 1 alone."""
    said = {"good": ("great", "great", "same"), "bad": ("poor", "poor", "even"), "mute": ("poor",)}
    return {
        model: [
            Answer(question=str(number), sample=0, turns=(text,))
            for number, text in enumerate(texts, start=1)
        ]
        for model, texts in said.items()
    }


@pytest.fixture
def judge(tmp_path):
    """Prefers what is great, finds poor answers equal, and else what is shown first."""
    rules = (
        {"contains": "A great", "reply": "I say [[A]]"},
        {"contains": "B great", "reply": "Not [[A]], but [[B]]"},
        {"contains": "A poor B poor", "reply": "[[C]]"},
        {"contains": "", "reply": "[[A]]"},
    )
    path = tmp_path / "script.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return ScriptedChat(path)


@pytest.fixture
def journal(tmp_path):
    with CallJournal(tmp_path / "journal") as journal:
        yield journal


def _outcome(first, second, question, worth):
    return Comparison(first=first, second=second, question=question, worth=worth)


def test_a_win_is_one_in_both_orders(benchmark, questions, answers, judge, journal):
    verdicts = compare_answers(benchmark, questions, answers, judge, journal)
    assert [(one.first, one.second, one.judgment.question) for one in verdicts[:2]] == [
        ("good", "bad", "1"),
        ("bad", "good", "1"),
    ]
    assert merged(verdicts) == [
        _outcome("good", "bad", "1", WIN),
        _outcome("good", "bad", "2", WIN),
        _outcome("good", "bad", "3", TIE),  # the place decided
        _outcome("good", "mute", "1", WIN),
        _outcome("bad", "mute", "1", TIE),
    ]
    bias = position_bias(verdicts)
    assert (bias["num_games"], bias["num_decided"]) == (5, 8)
    assert bias["consistent"] == 4 / 5
    # Of the decided verdicts on question 1 two of four, on 2 one of two, on 3 both.
    assert bias["first_wins"]["mean"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    calls = journal.usage(judge.identity).calls
    again = compare_answers(benchmark, questions, answers, judge, journal)
    assert again == verdicts
    assert journal.usage(judge.identity).calls == calls == 10


def test_a_baseline_meets_all_others_alone(benchmark, questions, answers, judge, journal):
    verdicts = compare_answers(benchmark, questions, answers, judge, journal, baseline="bad")
    assert {frozenset((one.first, one.second)) for one in verdicts} == {
        frozenset(("good", "bad")),
        frozenset(("bad", "mute")),
    }


def test_what_is_not_there_or_not_readable_is_missing(
    benchmark, questions, answers, judge, journal
):
    benchmark = dataclasses.replace(benchmark, retries=0)
    answers = {
        "good": [*answers["good"][:1], Answer(question="2", sample=0, turns=(None,))],
        "bad": answers["bad"],
    }
    record = pairwise_record(
        benchmark,
        questions,
        compare_answers(benchmark, questions, answers, judge, journal),
        judge.provenance,
    )
    assert (record["num_verdicts"], record["num_missing"]) == (4, 2)
    assert (record["num_games"], record["num_games_left_out"]) == (2, 1)
    assert record["reasons"] == {"there is no answer to judge": 2}


def test_what_cannot_be_compared(polite, benchmark, questions, answers, judge, journal):
    def compare(benchmark, answers, **more):
        compare_answers(benchmark, questions, answers, judge, journal, **more)

    with pytest.raises(UserError, match="polite does not say how two answers are compared"):
        compare(polite, answers)
    with pytest.raises(UserError, match="needs the answers of two models"):
        compare(benchmark, {"good": answers["good"]})
    with pytest.raises(UserError, match="the baseline 'godo' is not among good, bad, mute"):
        compare(benchmark, answers, baseline="godo")
    with pytest.raises(UserError, match="is answered by two of these models"):
        compare(benchmark, {"good": answers["good"][2:], "mute": answers["mute"]})


def test_fastchats_lines_and_back(benchmark, questions, answers, judge, journal, tmp_path):
    verdicts = compare_answers(benchmark, questions, answers, judge, journal)
    lines = list(pair_lines(verdicts, judge.name))
    assert [(line["g1_winner"], line["g2_winner"]) for line in lines] == [
        ("model_1", "model_1"),
        ("model_1", "model_1"),
        ("model_1", "model_2"),
        ("model_1", "model_1"),
        ("tie", "tie"),
    ]
    path = tmp_path / "pair.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert merged(read_pairs(path)["script"]) == merged(verdicts)
    path.write_text(json.dumps(lines[0] | {"g1_winner": "model_3"}) + "\n")
    with pytest.raises(UserError, match="line 1: no comparison as FastChat writes them"):
        read_pairs(path)


def test_mt_bench_compares_as_fastchat_does():
    for name in ("mt_bench_en", "mt_bench_ja"):
        pairs = get_benchmark(name).pairs
        assert [(pair.turn, pair.with_reference) for pair in pairs] == [
            *((1, False), (1, True), (2, False), (2, True))
        ]
    ours = get_benchmark("mt_bench_en").pairs[0].parser
    theirs = with_preset(get_benchmark("mt_bench_en"), "fastchat").pairs[0].parser
    scales = {"preference": (0.0, 1.0)}
    both = "[[B]] for the first turn, but all in all [[A]] ... no, [[B]]"
    assert (ours.parse(both, scales), theirs.parse(both, scales)) == (
        {"preference": LOSS},
        {"preference": WIN},
    )
    for parser in (ours, theirs):
        assert parser.parse("[[C]]", scales) == {"preference": TIE}
        with pytest.raises(NoScore):
            parser.parse("neither", scales)


def test_the_table_fits_a_terminal(benchmark, questions, answers, judge, journal):
    verdicts = compare_answers(benchmark, questions, answers, judge, journal)
    record = pairwise_record(benchmark, questions, verdicts, judge.provenance)
    assert json.loads(json.dumps(record)) == record
    console = Console(width=80)
    with console.capture() as capture:
        console.print(pairwise_table(record))
    text = capture.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "polite · pairwise · judged by script" in text
    assert "good against mute" in text
    assert "80% of 5 games end alike in both orders" in text
    assert next(iter(record["strengths"])) == "good"
