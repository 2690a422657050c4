from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.table import as_records, render, score_table


def _text(table) -> str:
    out = io.StringIO()
    Console(file=out, width=140).print(render(table))
    return out.getvalue()


def test_rows_and_columns_with_half_widths(make_result):
    results = [
        make_result("base", {"NLI": [1, 0], "QA": [0, 0]}),
        make_result("majority", {"NLI": [1, 1], "QA": [0, 0]}),
    ]
    table = score_table(make_boards(results)[0])
    assert table.columns == ("AVR", "NLI", "QA")
    assert [row.role for row in table.rows] == ["majority", "base"]
    base = table.rows[1].cells
    assert [cell.mean for cell in base] == [0.25, 0.5, 0.0]
    assert base[1].half_width == (base[1].high - base[1].low) / 2
    text = _text(table)
    assert "0.250" in text
    assert f"±{base[1].half_width:.3f}".replace("±0", "±") in text


def test_what_is_missing_is_a_dash_with_its_reason_and_marks_the_average(make_result):
    table = score_table(make_boards([make_result("base", {"NLI": [1, 1], "MT": None})])[0])
    average, translation, _ = table.rows[0].cells
    assert average.mean == 1.0
    assert table.footnotes[average.marks[0] - 1] == "AVR of 1 categories, without MT"
    assert translation.mean is None
    assert table.footnotes[translation.marks[0] - 1] == "not scored: mt: no library"
    assert "–[2]" in _text(table)
    (record,) = as_records([table])
    assert record["rows"][0]["scores"]["MT"] is None
    assert record["rows"][0]["scores"]["NLI"]["mean"] == 1.0


def test_a_task_missing_inside_a_category_marks_the_average(make_result):
    result = make_result("base", {"NLI": [1, 1], "QA": [0, 1], "MT": None})
    record = dict(result.record)
    entry = dict(record["tasks"]["mini/v1:mt"], category="QA")
    record["tasks"] = record["tasks"] | {"mini/v1:mt": entry}
    record["average"] = record["average"] | {"missing": [], "missing_tasks": ["mini/v1:mt"]}
    table = score_table(make_boards([dataclasses.replace(result, record=record)])[0])
    average, _, answering = table.rows[0].cells
    assert table.footnotes[average.marks[0] - 1] == "AVR without the tasks mt"
    assert "no library" in table.footnotes[answering.marks[0] - 1]


def test_a_category_that_only_another_run_has_is_a_dash(make_result):
    results = [make_result("base", {"NLI": [1]}), make_result("sft", {"QA": [1]}, step=1)]
    table = score_table(make_boards(results)[0])
    assert table.rows[0].cells[2].mean is None
    assert "QA was not measured" in table.footnotes


def test_all_steps_are_rows_when_asked_for(make_result):
    results = [
        make_result("sft", {"NLI": [1]}, folder=f"run/{step}", step=step) for step in (20, 10)
    ]
    (board,) = make_boards(results)
    assert len(score_table(board).rows) == 1
    labels = [row.label for row in score_table(board, all_steps=True).rows]
    assert labels == ["small, sft, step 10", "small, sft, step 20"]


def test_names_of_models_are_no_markup(make_result):
    results = [make_result("base", {"NLI": [1]}, changes={"model": {"name": "[red]a[/b]"}})]
    assert "[red]a[/b]" in _text(score_table(make_boards(results)[0]))
