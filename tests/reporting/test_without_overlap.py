from __future__ import annotations

import pytest

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.html import render_page
from jaxllm.reporting.statistics import mean_interval
from jaxllm.reporting.table import as_records, score_table
from jaxllm.reporting.without_overlap import without_overlap

_SCORES = {"NLI": [1, 1, 0, 0], "QA": [1, 0.5, 0]}


def _ids(*ids: str) -> dict[str, frozenset[str]]:
    return {"abc": frozenset(ids)}


def test_scores_are_those_of_the_samples_that_stay(make_result):
    result = make_result("sft", _SCORES, step=3)
    cleaned = without_overlap(result, _ids("NLI-0", "QA-1", "unknown"))
    assert cleaned is not None
    record = cleaned.result.record
    interval = mean_interval([1, 0, 0])
    assert record["categories"]["NLI"]["mean"] == pytest.approx(1 / 3)
    assert record["categories"]["NLI"]["interval"] == [interval.low, interval.high]
    assert record["categories"]["QA"]["mean"] == pytest.approx(0.5)
    assert record["average"]["mean"] == pytest.approx((1 / 3 + 0.5) / 2)
    assert record["tasks"]["mini/v1:nli"]["num_samples"] == 3
    assert cleaned.note == "without 2 of 7 samples, which overlap with tuning data"
    assert result.record["average"]["mean"] == 0.5


def test_without_anything_to_leave_out_nothing_changes(make_result):
    result = make_result("sft", _SCORES)
    cleaned = without_overlap(result, _ids())
    assert cleaned is not None
    assert cleaned.result.record["categories"] == result.record["categories"]
    assert cleaned.result.record["average"]["mean"] == result.record["average"]["mean"]


def test_what_was_not_compared_keeps_its_score_and_is_named(make_result):
    result = make_result("sft", _SCORES)
    result.record["tasks"]["mini/v1:qa"]["data_sha256"] = "other"
    cleaned = without_overlap(result, _ids("NLI-0", "QA-0"))
    assert cleaned is not None
    assert cleaned.result.record["categories"]["QA"]["mean"] == 0.5
    assert cleaned.note.endswith("which overlap with tuning data; not compared: qa")
    result.record["tasks"]["mini/v1:nli"]["data_sha256"] = "other"
    assert without_overlap(result, _ids("NLI-0")) is None


def test_a_task_without_samples_left_or_scores_of_their_own_is_missing(make_result):
    result = make_result("sft", {"NLI": [1, 1], "QA": [1, 0], "MT": None})
    cleaned = without_overlap(result, _ids("NLI-0", "NLI-1", "QA-0"))
    assert cleaned is not None
    record = cleaned.result.record
    assert record["tasks"]["mini/v1:nli"]["metrics"]["exact_match"] == {
        "missing": "every sample overlaps"
    }
    assert "NLI" in record["average"]["missing"]
    assert record["tasks"]["mini/v1:mt"]["metrics"]["exact_match"] == {"missing": "no library"}
    assert record["average"]["mean"] == 0


def test_the_table_has_a_second_row_with_the_counts_below(make_result):
    board = make_boards([make_result("sft", _SCORES, step=3)])[0]
    table = score_table(board, overlapping=_ids("QA-0"))
    assert [row.label for row in table.rows] == [
        "small, sft, step 3",
        "small, sft, step 3, without overlap",
    ]
    average, _, answering = table.rows[1].cells
    assert answering.mean == 0.25
    assert table.footnotes[average.marks[0] - 1].startswith("without 1 of 7 samples")
    assert len(average.marks) == 2  # what the average lacks beside it
    assert as_records([table])[0]["rows"][1]["scores"]["QA"]["mean"] == 0.25
    assert len(score_table(board).rows) == 1


def test_tasks_without_a_suite_have_the_counts_in_their_first_cell(make_result):
    result = make_result("sft", {"NLI": [1, 0]}, suite=None)
    table = score_table(make_boards([result])[0], overlapping=_ids("NLI-1"))
    (cell,) = table.rows[1].cells
    assert (cell.mean, len(cell.marks)) == (1, 1)


def test_a_suite_of_another_program_has_no_second_row(make_result):
    result = make_result("sft", _SCORES, suite="mini/v9")
    assert len(score_table(make_boards([result])[0], overlapping=_ids("QA-0")).rows) == 1


def test_the_page_shows_the_row_and_its_note(make_result):
    boards = make_boards([make_result("sft", _SCORES, step=3)])
    page = render_page(boards, overlapping=_ids("QA-0"))
    assert "small, sft, step 3, without overlap" in page
    assert "without 1 of 7 samples" in page
    assert "<sup>1, 2</sup>" in page
