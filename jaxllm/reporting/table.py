"""The table of scores: rows are runs, columns the average and the categories, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rich.box
import rich.markup
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxllm.reporting.boards import (
    CONTROL,
    MAJORITY,
    Board,
    differing_conditions,
    role_of,
    steps_of,
)
from jaxllm.reporting.grid import MISSING
from jaxllm.reporting.results import Result
from jaxllm.reporting.without_overlap import Overlapping, without_overlap


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A score with its interval (None where there is none); `mean` None is a missing score."""

    mean: float | None
    low: float | None = None
    high: float | None = None
    marks: tuple[int, ...] = ()  # the footnotes it points to, from 1

    @property
    def half_width(self) -> float | None:
        """What stands behind the ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run: its label, the part it plays, and a cell for each column."""

    label: str
    role: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """The table before it is drawn, shared by the terminal, the HTML page and --json."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]


def score_table(
    board: Board, *, all_steps: bool = False, overlapping: Overlapping | None = None
) -> ScoreTable:
    """The board's runs as a table; with `all_steps` the earlier steps of each run too.

    With `overlapping` a second row below each run has its scores without those samples.
    """
    runs = [
        result for run in board.runs for result in (steps_of(board, run) if all_steps else (run,))
    ]
    footnotes: list[str] = []
    rows = []
    for run in runs:
        label, role = board.label(run), role_of(run)
        rows.append(Row(label=label, role=role, cells=tuple(_cells(board, run, footnotes))))
        if overlapping is not None and (cleaned := without_overlap(run, overlapping)):
            cells = tuple(_cells(board, cleaned.result, footnotes, note=cleaned.note))
            rows.append(Row(label=f"{label}, without overlap", role=role, cells=cells))
    return ScoreTable(
        title=board.title,
        columns=(*((board.average,) if board.average else ()), *board.categories),
        rows=tuple(rows),
        footnotes=(*footnotes, *differing_conditions(board)),
    )


def render(table: ScoreTable) -> RenderableType:
    """The table for a terminal, by rich."""
    grid = Table(
        title=rich.markup.escape(table.title),
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        # Ten columns of scores and the runs' names have to fit into 80 characters.
        padding=0,
        pad_edge=False,
    )
    grid.add_column("run", overflow="fold", min_width=12)
    for index, column in enumerate(table.columns):
        grid.add_column(column, justify="right", no_wrap=True, style="bold" if index == 0 else "")
    for row in table.rows:
        style = "dim" if row.role in (MAJORITY, CONTROL) else ""
        grid.add_row(Text(row.label), *map(_cell_text, row.cells), style=style)
    notes = [Text(f"[{number}] {note}") for number, note in enumerate(table.footnotes, start=1)]
    return Group(grid, Text("score, and half its 95 % confidence interval below"), *notes)


def _cell_text(cell: Cell) -> Text:
    marks = "".join(f"[{mark}]" for mark in cell.marks)
    if cell.mean is None:
        return Text(f"{MISSING}{marks}")
    text = Text(f"{cell.mean:.3f}{marks}")
    if cell.half_width is not None:
        half_width = f"{cell.half_width:.3f}"
        text.append(f"\n±{half_width.removeprefix('0')}", style="dim")
    return text


def _cells(board: Board, run: Result, footnotes: list[str], *, note: str = "") -> list[Cell]:
    """The cells of a row; the first has a footnote with `note` before its own."""
    cells = []
    if board.average:
        cells.append(_cell(run.average, [note, _what_it_lacks(board, run)], footnotes))
    for category in board.categories:
        measured = run.categories.get(category, {})
        notes = [*([] if cells else [note]), remarks(run, category, measured)]
        cells.append(_cell(measured, notes, footnotes))
    return cells


def _what_it_lacks(board: Board, run: Result) -> str:
    """What keeps a run's average from being the suite's: categories, and tasks of the others."""
    notes = []
    if missing := run.average.get("missing"):
        categories = f"{len(run.categories)} categories"
        notes.append(f"{board.average} of {categories}, without {', '.join(missing)}")
    tasks = [
        task
        for task in run.average.get("missing_tasks", ())
        if run.tasks[task]["category"] in run.categories
    ]
    if tasks:
        names = ", ".join(short_name(run, task) for task in tasks)
        notes.append(f"{board.average} without the tasks {names}")
    return "; ".join(notes)


def _cell(measured: dict[str, Any], notes: Sequence[str], footnotes: list[str]) -> Cell:
    marks = []
    for note in filter(None, notes):
        if note not in footnotes:
            footnotes.append(note)
        marks.append(footnotes.index(note) + 1)
    low, high = measured.get("interval") or (None, None)
    return Cell(mean=measured.get("mean"), low=low, high=high, marks=tuple(marks))


def remarks(run: Result, category: str, measured: Mapping[str, Any]) -> str:
    """What keeps a category's score from being whole: its tasks without one, or unverified."""
    found = []
    for task, entry in run.tasks.items():
        if run.category_of(task) != category:
            continue
        if reason := entry["metrics"][entry["headline"]].get("missing"):
            # What to do about it follows behind the first colon, and stands in result.json.
            reason = reason.removeprefix(f"{task}: ").partition(": ")[0]
            found.append(f"not scored: {short_name(run, task)}: {reason}")
        elif entry.get("unverified"):
            found.append(f"unverified: {short_name(run, task)}: {entry['unverified']}")
    return "; ".join(found) or ("" if measured else f"{category} was not measured")


def short_name(run: Result, task: str) -> str:
    """A task's name without that of the suite, which heads the table."""
    return task if run.record["suite"] is None else task.removeprefix(f"{run.record['suite']}:")


def as_records(tables: Sequence[ScoreTable]) -> list[dict[str, Any]]:
    """The tables as plain lists and dicts, for JSON."""
    return [
        {
            "title": table.title,
            "rows": [
                {
                    "run": row.label,
                    "role": row.role,
                    "scores": {
                        column: None
                        if cell.mean is None
                        else {"mean": cell.mean, "interval": _pair(cell)}
                        for column, cell in zip(table.columns, row.cells, strict=True)
                    },
                }
                for row in table.rows
            ],
            "footnotes": list(table.footnotes),
        }
        for table in tables
    ]


def _pair(cell: Cell) -> list[float] | None:
    return None if cell.low is None or cell.high is None else [cell.low, cell.high]
