"""The pages of a site as text: what stands in each, and which leads where."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

import jaxllm
from jaxllm.reporting.boards import CONTROL, MAJORITY, Board, differing_conditions, role_of
from jaxllm.reporting.browsing import SCRIPTS
from jaxllm.reporting.grid import MISSING
from jaxllm.reporting.leaderboard import Entry, Leaderboard, is_judged
from jaxllm.reporting.page.document import read_texts
from jaxllm.reporting.provenance import facts, stages
from jaxllm.reporting.results import Result
from jaxllm.reporting.site.cells import Cell, Notes, make_cell, task_score
from jaxllm.reporting.site.file_names import file_name
from jaxllm.reporting.site.links import Browsable, Links, tasks_of
from jaxllm.reporting.site.models import Model, Standing
from jaxllm.reporting.table import short_name
from jaxllm.reporting.tuned_on import tuned_tasks, unreadable_sources

STYLES = ("page.css", "view.css")  # of page/
_SCRIPTS = ("words.js", "sorting.js")


@dataclass(frozen=True, kw_only=True)
class Pages:
    """All pages but for their samples; `browsable` is by the board's title."""

    boards: Sequence[tuple[Board, Leaderboard]]
    models: Sequence[Model]
    browsable: Mapping[str, Browsable]
    left_out: Sequence[str]

    @functools.cached_property
    def _links(self) -> Links:
        return Links(
            boards=[board for board, _ in self.boards],
            models=self.models,
            browsable=self.browsable,
        )

    @functools.cached_property
    def _conditions(self) -> dict[str, tuple[str, ...]]:
        return {board.title: differing_conditions(board) for board, _ in self.boards}

    def render(self) -> Iterator[tuple[str, str]]:
        """Each page's path below the site's folder, and its text."""
        yield "index.html", self._page("index.html", "", **self._index())
        for model in self.models:
            values = self._model(model)
            yield f"models/{model.page}.html", self._page("model.html", "../", **values)
        for board, _ in self.boards:
            folder = f"boards/{file_name(board.title)}"
            for task in tasks_of(board):
                values = self._task(board, task)
                yield self._links.task(board, task), self._page("task.html", "../../", **values)
            if self.browsable[board.title].num_answers:
                values = self._samples(board)
                yield f"{folder}/samples.html", self._page("samples.html", "../../", **values)

    def _page(self, template: str, root: str, **values: Any) -> str:
        scripts = ("texts.js", *(SCRIPTS if template == "samples.html" else _SCRIPTS))
        constants = {"styles": STYLES, "missing": MISSING, "version": jaxllm.__version__}
        page = _templates().get_template(template)
        return page.render(root=root, scripts=scripts, **constants, **values)

    # ---- what stands on each

    def _index(self) -> dict[str, Any]:
        return {
            "boards": [self._board(board, leaderboard) for board, leaderboard in self.boards],
            "left_out": self.left_out,
        }

    def _board(self, board: Board, leaderboard: Leaderboard) -> dict[str, Any]:
        notes = Notes()
        cells = [self._cells(board, leaderboard, entry, notes) for entry in leaderboard.entries]
        return {
            "title": board.title,
            "anchor": file_name(board.title),
            "average": board.average,
            "columns": leaderboard.columns,
            "rows": [
                {"entry": entry, "page": self._links.model(entry.result), "cells": of_entry}
                for entry, of_entry in zip(leaderboard.entries, cells, strict=True)
            ],
            "counts": [
                sorted({cell.num_samples for cell in column} - {0})
                for column in zip(*cells, strict=True)
            ],
            "untested": any(e.rank is not None and not e.tested for e in leaderboard.entries),
            "notes": (*notes.texts, *self._conditions[board.title]),
            "tasks": [
                {"name": _name(board, task), "href": self._links.task(board, task)}
                for task in tasks_of(board)
            ],
            "samples": self._links.samples(board),
            "num_answers": self.browsable[board.title].num_answers,
        }

    def _cells(
        self, board: Board, leaderboard: Leaderboard, entry: Entry, notes: Notes
    ) -> list[Cell]:
        return [
            make_cell(score, notes, href=self._links.behind(board, entry.result, column, score))
            for column, score in zip(leaderboard.columns, entry.scores, strict=True)
        ]

    def _task_cell(self, board: Board, run: Result, task: str, notes: Notes) -> Cell:
        address = self._links.samples(board, run, task=task)
        return make_cell(task_score(run, task), notes, href=address)

    def _model(self, model: Model) -> dict[str, Any]:
        newest = model.standings[0].entry.result
        return {
            "model": model,
            "stages": stages(newest),
            "unreadable": unreadable_sources(newest),
            "standings": [self._standing(standing) for standing in model.standings],
        }

    def _standing(self, standing: Standing) -> dict[str, Any]:
        board, entry = standing.board, standing.entry
        run, notes = entry.result, Notes()
        tuned_on = tuned_tasks(run)
        ranked = [other for other in standing.leaderboard.entries if other.rank is not None]
        return {
            "title": board.title,
            "anchor": file_name(board.title),
            "entry": entry,
            "of": len(ranked),
            "facts": facts(run),
            "scores": list(
                zip(
                    standing.leaderboard.columns,
                    self._cells(board, standing.leaderboard, entry, notes),
                    strict=True,
                )
            ),
            "tasks": [
                {
                    "name": short_name(run, name),
                    "href": self._links.task(board, name),
                    "category": task["category"],
                    "metric": task["headline"],
                    "is_tuned_on": name in tuned_on,
                    "cell": make_cell(
                        task_score(run, name),
                        notes,
                        href=self._links.samples(board, run, task=name),
                    ),
                }
                for name, task in run.tasks.items()
            ],
            "notes": notes.texts,
        }

    def _task(self, board: Board, task: str) -> dict[str, Any]:
        runs = [run for run in board.runs if task in run.tasks]
        headline, notes = runs[0].tasks[task]["headline"], Notes()
        others = sorted({name for run in runs for name in run.tasks[task]["metrics"]} - {headline})
        cells = [self._task_cell(board, run, task, notes) for run in runs]
        rows = [
            {
                "label": board.label(run),
                "role": role_of(run),
                "page": self._links.model(run),
                "is_tuned_on": task in tuned_tasks(run),
                "cell": cell,
                "others": [
                    make_cell(task_score(run, task, name), notes) for name in sorted(others)
                ],
            }
            for run, cell in sorted(
                zip(runs, cells, strict=True),
                key=lambda pair: (role_of(pair[0]) in (MAJORITY, CONTROL), pair[1].order),
            )
        ]
        asked = runs[0].tasks[task]
        conditions = ("corpus", "template", "num_shots", "max_new_tokens", "extraction", "judge")
        return {
            "name": _name(board, task),
            "board": board.title,
            "anchor": file_name(board.title),
            "category": asked["category"],
            "metric": headline,
            "unverified": asked.get("unverified"),
            "rows": rows,
            "others": others,
            "facts": {name: asked[name] for name in conditions if asked.get(name) not in (None, "")}
            | {"data_sha256": (asked.get("data_sha256") or MISSING)[:12]},
            "notes": (
                *notes.texts,
                *(said for said in self._conditions[board.title] if said.startswith(f"{task}: ")),
            ),
            "samples": self._links.samples(board, task=task),
        }

    def _samples(self, board: Board) -> dict[str, Any]:
        return {
            "title": board.title,
            "anchor": file_name(board.title),
            "is_judged": any(map(is_judged, board.runs)),
        }


def _name(board: Board, task: str) -> str:
    return short_name(next(run for run in board.runs if task in run.tasks), task)


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxllm.reporting.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["english"] = read_texts()["en"]
    return environment
