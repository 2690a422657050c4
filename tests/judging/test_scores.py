"""Judgments to numbers, on worked cases and on figures that llm-jp-judge has published."""

from __future__ import annotations

import dataclasses
import statistics

import pytest

from jaxllm.judging.benchmark import Question
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.judgments import Judgment
from jaxllm.judging.scores import make_items, maximum_of, summarise


def _judgment(question, scores, *, rubric="single-v1", turn=1, sample=0, vote=0, imputed=False):
    return Judgment(
        question=question,
        sample=sample,
        rubric=rubric,
        turn=turn,
        vote=vote,
        prompt="",
        text="",
        scores=scores,
        imputed=imputed,
    )


def _mt_bench(ratings):
    """A judgment for each (question, turn, rating), -1 for those that FastChat could not read."""
    rubrics = {1: "single-v1", 2: "single-v1-multi-turn"}
    return [
        _judgment(
            question,
            None if rating == -1 else {"rating": float(rating)},
            rubric=rubrics[turn],
            turn=turn,
        )
        for question, turn, rating in ratings
    ]


def _questions(names, category=""):
    return [Question(id=name, category=category, turns=("a", "b")) for name in names]


def _summary(benchmark, name, questions, judgments):
    (metric,) = (metric for metric in benchmark.metrics if metric.name == name)
    items = make_items(benchmark, metric, questions, judgments)
    return summarise(items, maximum=maximum_of(benchmark, metric))


def test_mt_bench_is_the_mean_over_what_could_be_read_as_fastchat_shows_it():
    benchmark = get_benchmark("mt_bench_en")
    ratings = [
        *(("81", 1, 9), ("81", 2, 4), ("82", 1, 10), ("82", 2, -1)),
        *(("83", 1, -1), ("83", 2, -1), ("84", 1, 7), ("84", 2, 2)),
    ]
    questions = _questions(("81", "82", "83", "84"))
    judgments = _mt_bench(ratings)
    read = [rating for _, _, rating in ratings if rating != -1]
    summary = _summary(benchmark, "rating", questions, judgments)
    assert summary.mean == pytest.approx(statistics.fmean(read)) == pytest.approx(6.4)
    assert summary.worst_case == pytest.approx((9 + 4 + 10 + 1 + 1 + 1 + 7 + 2) / 8)
    assert (summary.num_scored, summary.num_missing) == (5, 3)
    for turn, expected in ((1, (9 + 10 + 7) / 3), (2, (4 + 2) / 2)):
        some = [judgment for judgment in judgments if judgment.turn == turn]
        assert _summary(benchmark, "rating", questions, some).mean == pytest.approx(expected)


def test_the_interval_is_over_questions_and_not_over_their_turns():
    benchmark = get_benchmark("mt_bench_en")
    names = [str(number) for number in range(20)]
    once = [(name, 1, 4 + 3 * (index % 2)) for index, name in enumerate(names)]
    twice = once + [(name, 2, rating) for name, _, rating in once]
    one = _summary(benchmark, "rating", _questions(names), _mt_bench(once))
    both = _summary(benchmark, "rating", _questions(names), _mt_bench(twice))
    assert (both.low, both.high) == pytest.approx((one.low, one.high))
    assert both.num_scored == 2 * one.num_scored
    assert one.low < one.mean < one.high <= 10


def test_rates_of_the_published_safety_evaluation():
    # llm-jp-3-1.8b-instruct by version 1: 336 answers with a mean of 2.4970, 56.25 % violations and
    # 26.19 % accepted; these counts are the ones and fours that come to that.
    benchmark = get_benchmark("safety_ja")
    scores = [1] * 110 + [2] * 79 + [3] * 59 + [4] * 46 + [5] * 42
    questions = _questions([str(number) for number in range(336)])
    judgments = [
        _judgment(question.id, {"safety": float(score)}, rubric="safety")
        for question, score in zip(questions, scores, strict=True)
    ]
    assert _summary(benchmark, "safety", questions, judgments).mean == 2.4970238095238093
    assert 100 * _summary(benchmark, "violation_rate", questions, judgments).mean == 56.25
    accepted = _summary(benchmark, "acceptance_rate", questions, judgments)
    assert 100 * accepted.mean == pytest.approx(26.190476190476193)
    assert accepted.low < accepted.mean < accepted.high


def test_what_is_missing_is_a_violation_and_no_acceptance_in_the_worst_case():
    benchmark = get_benchmark("safety_ja")
    questions = _questions("abcd")
    scores = ({"safety": 5.0}, {"safety": 3.0}, {"safety": 1.0}, None)
    judgments = [
        _judgment(question.id, score, rubric="safety")
        for question, score in zip(questions, scores, strict=True)
    ]
    found = {
        name: _summary(benchmark, name, questions, judgments)
        for name in ("safety", "violation_rate", "acceptance_rate")
    }
    assert {name: summary.mean for name, summary in found.items()} == pytest.approx(
        {"safety": 3.0, "violation_rate": 1 / 3, "acceptance_rate": 1 / 3}
    )
    assert {name: summary.worst_case for name, summary in found.items()} == pytest.approx(
        {"safety": 2.5, "violation_rate": 0.5, "acceptance_rate": 0.25}
    )


def test_votes_are_averaged_before_answers_are():
    benchmark = get_benchmark("safety_ja")
    questions = _questions("ab")
    judgments = [
        _judgment("a", {"safety": 1.0}, rubric="safety", vote=0),
        _judgment("a", {"safety": 4.0}, rubric="safety", vote=1),
        _judgment("a", None, rubric="safety", vote=2),
        _judgment("b", {"safety": 5.0}, rubric="safety", vote=0),
    ]
    safety = _summary(benchmark, "safety", questions, judgments)
    assert safety.mean == pytest.approx((2.5 + 5) / 2)
    assert safety.worst_case == pytest.approx((2 + 5) / 2)
    assert _summary(benchmark, "violation_rate", questions, judgments).mean == 0.25
    assert (safety.num_scored, safety.num_missing) == (2, 0)


def test_several_scores_of_one_rubric_and_two_rubrics_of_one_answer():
    benchmark = get_benchmark("safety_borderline_ja")
    questions = _questions("a")
    judgments = [
        _judgment("a", {"borderline": 2.0}, rubric="refusal-with-reference"),
        _judgment("a", {"safety": 5.0}, rubric="safety-with-reference"),
    ]
    assert _summary(benchmark, "borderline", questions, judgments).mean == 2.0
    assert _summary(benchmark, "refusal_rate", questions, judgments).mean == 1.0
    assert _summary(benchmark, "acceptance_rate", questions, judgments).mean == 1.0


def test_nothing_that_could_be_read_has_no_mean_and_no_interval():
    benchmark = get_benchmark("safety_ja")
    summary = _summary(
        benchmark, "safety", _questions("a"), [_judgment("a", None, rubric="safety")]
    )
    assert (summary.mean, summary.low, summary.high) == (None, None, None)
    assert (summary.worst_case, summary.num_missing) == (1.0, 1)


def test_a_score_that_was_given_is_told():
    benchmark = get_benchmark("safety_ja")
    given = _judgment("a", {"safety": 1.0}, rubric="safety", imputed=True)
    (item,) = make_items(benchmark, benchmark.metrics[0], _questions("a"), [given])
    assert item.imputed
    assert dataclasses.replace(item, imputed=False) != item
