"""Judged answers as a result folder that reports read."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console

from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Question
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.judgments import Judgment
from jaxllm.judging.record import Judged, write_judged
from jaxllm.judging.table import judged_table
from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.html import render_page
from jaxllm.reporting.results import find_results, read_result, read_samples
from jaxllm.reporting.table import score_table

_RUBRICS = {1: "single-v1", 2: "single-v1-multi-turn"}


def _mt_bench(ratings, *, judge="gpt-4"):
    """Two questions of two turns in each of two categories; None where nothing was read."""
    questions = [
        Question(id=str(80 + number), category=category, turns=("first?", "second?"))
        for number, category in enumerate(("writing", "writing", "stem", "stem"), start=1)
    ]
    places = [(question, turn) for question in questions for turn in (1, 2)]
    return Judged(
        benchmark=get_benchmark("mt_bench_en"),
        questions=questions,
        data_sha256="d" * 64,
        answers=[
            Answer(question=question.id, sample=0, turns=("one <b>", "two"), made_at=1e9)
            for question in questions
        ],
        judgments=[
            Judgment(
                question=question.id,
                sample=0,
                rubric=_RUBRICS[turn],
                turn=turn,
                vote=0,
                prompt="prompt",
                text="" if rating is None else f"Rating: [[{rating}]]",
                scores=None if rating is None else {"rating": float(rating)},
                reason="" if rating is not None else "no score for rating",
                made_at=1e9,
            )
            for (question, turn), rating in zip(places, ratings, strict=True)
        ],
        judge={"type": "api", "model": judge, "base_url": "http://127.0.0.1/v1"},
        votes=1,
    )


def _write(folder, judged, **fields):
    return write_judged(
        folder, judged, model={"name": "mine"}, config={"seed": 0}, max_samples=-1, **fields
    )


def test_a_result_of_categories_and_turns(tmp_path):
    numbers = _write(tmp_path, _mt_bench([8, 6, 10, None, 2, 2, 4, 4]))
    assert numbers == pytest.approx(
        {
            "rating": 36 / 7,
            "turn 1": 6.0,
            "turn 2": 4.0,
            "writing": 8.0,
            "stem": 3.0,
            "worst case": 37 / 8,
            "missing": 1,
        }
    )
    result = read_result(tmp_path)
    record = result.record
    assert record["suite"] == "mt_bench_en"
    assert {name: part["mean"] for name, part in record["categories"].items()} == {
        "writing": 0.8,
        "stem": 0.3,
    }
    assert record["average"]["mean"] == pytest.approx(3.6 / 7)
    assert record["average"]["parts"] == {"turn 1": 0.6, "turn 2": 0.4}
    writing = record["tasks"]["mt_bench_en:writing"]
    assert (writing["num_samples"], writing["num_missing"]) == (4, 1)
    assert writing["metrics"]["rating"]["worst_case"] == (8 + 6 + 10 + 1) / 4
    assert record["judge"]["reasons"] == {"no score for rating": 1}
    assert record["judge"]["first_judgment"] == "2001-09-09T01:46:40+00:00"
    samples = list(read_samples(result, "mt_bench_en:writing"))
    assert [sample["id"] for sample in samples] == ["81/1", "81/2", "82/1", "82/2"]
    assert samples[1]["prompt"] == "first?\n\none <b>\n\nsecond?"
    assert (samples[1]["output"], samples[1]["prediction"]) == ("two", "Rating: [[6]]")
    assert samples[3]["scores"] == {}


def test_a_table_has_the_scale_of_the_scores(tmp_path):
    _write(tmp_path, _mt_bench([8, 6, 10, None, 2, 2, 4, 4]))
    printed = io.StringIO()
    Console(width=100, file=printed).print(judged_table(read_result(tmp_path)))
    text = printed.getvalue()
    assert "mt_bench_en · mine · judged by gpt-4" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["rating"][1] == "5.14"
    assert rows["rating"][-3:] == ["4.62", "7", "1"]
    assert rows["writing"][1] == "8.00"
    assert "1 of 8 judgments missing: no score for rating" in text


def test_a_category_without_any_score_is_missing_and_not_zero(tmp_path):
    numbers = _write(tmp_path, _mt_bench([8, 6, 10, 9, None, None, None, None]))
    assert numbers["rating"] == pytest.approx(33 / 4)
    assert "stem" not in numbers
    record = read_result(tmp_path).record
    assert record["average"]["missing"] == ["stem"]
    assert "missing" in record["tasks"]["mt_bench_en:stem"]["metrics"]["rating"]


def test_a_category_that_was_not_judged_is_said_to_be_missing(tmp_path):
    judged = _mt_bench([8, 6, 10, 9, 1, 1, 1, 1])
    few = dataclasses.replace(judged, judgments=judged.judgments[:4])
    assert "stem" not in _write(tmp_path, few)
    record = read_result(tmp_path).record
    assert (list(record["tasks"]), record["average"]["missing"]) == (
        ["mt_bench_en:writing"],
        ["stem"],
    )
    (board,) = make_boards(find_results([tmp_path]).results)
    assert "mean of 1 categories, without stem" in score_table(board).footnotes[0]


def test_no_score_at_all_is_a_result_too(tmp_path):
    numbers = _write(tmp_path, _mt_bench([None] * 8))
    assert numbers == {"worst case": 1.0, "missing": 8}
    assert read_result(tmp_path).record["average"]["mean"] is None
    (board,) = make_boards(find_results([tmp_path]).results)
    assert score_table(board).rows[0].cells[0].mean is None


def test_reports_show_it_and_say_where_judges_differ(tmp_path):
    _write(tmp_path / "a", _mt_bench([8, 6, 10, None, 2, 2, 4, 4]))
    _write(tmp_path / "b", _mt_bench([5] * 8, judge="gpt-4o"))
    found = find_results([tmp_path])
    assert not found.damaged
    (board,) = make_boards(found.results)
    table = score_table(board)
    assert (table.title, table.columns) == (
        "mt_bench_en · test split · 0-shot",
        ("mean", "stem", "writing"),
    )
    assert [round(cell.mean, 3) for cell in table.rows[0].cells] == [0.514, 0.3, 0.8]
    assert any("the runs differ in judge" in note for note in table.footnotes)
    page = render_page([board])
    assert "one <b>" not in page
    assert "one \\u003cb>" in page


def test_a_benchmark_without_categories(polite, tmp_path):
    judged = Judged(
        benchmark=polite,
        questions=[Question(id=name, category="", turns=(name,)) for name in "ab"],
        data_sha256="d" * 64,
        answers=[],
        judgments=[
            Judgment(
                question=name,
                sample=0,
                rubric="first",
                turn=1,
                vote=0,
                prompt="p",
                text="t",
                scores={"politeness": score},
            )
            for name, score in (("a", 5.0), ("b", 2.0))
        ],
        judge={"type": "file", "model": "somebody"},
        votes=1,
    )
    numbers = _write(tmp_path, judged)
    assert numbers == {
        "politeness": 3.5,
        "rude_rate": 0.5,
        "kind_rate": 0.5,
        "worst case": 3.5,
        "missing": 0,
    }
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["suite"] is None
    assert record["tasks"]["polite"]["metrics"]["politeness"]["maximum"] == 5
    (board,) = make_boards(find_results([tmp_path]).results)
    assert score_table(board).rows[0].cells[0].mean == pytest.approx(0.7)
