"""Which page of a site leads where: addresses from the site's folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jaxllm.reporting.boards import Board
from jaxllm.reporting.leaderboard import Score
from jaxllm.reporting.results import Result
from jaxllm.reporting.site.file_names import file_name
from jaxllm.reporting.site.models import Model


@dataclass(frozen=True, kw_only=True)
class Browsable:
    """Of a board: the tasks of which a run has samples, by its folder, and how many there are."""

    asked: Mapping[str, frozenset[str]]
    num_answers: int


def tasks_of(board: Board) -> list[str]:
    """All tasks of a board's runs, in the order in which samples count them."""
    return list(dict.fromkeys(task for run in board.runs for task in run.tasks))


@dataclass(frozen=True, kw_only=True)
class Links:
    """Addresses of pages and of samples, which are empty where there are none.

    `browsable` is by the board's title.
    """

    boards: Sequence[Board]
    models: Sequence[Model]
    browsable: Mapping[str, Browsable]

    @functools.cached_property
    def _models(self) -> dict[str, str]:
        return {
            str(standing.entry.result.folder): f"models/{model.page}.html"
            for model in self.models
            for standing in model.standings
        }

    @functools.cached_property
    def _places(self) -> dict[str, tuple[Board, int]]:
        return {
            str(run.folder): (board, number)
            for board in self.boards
            for number, run in enumerate(board.runs)
        }

    @functools.cached_property
    def _tasks(self) -> dict[str, dict[str, int]]:
        return {
            board.title: {task: number for number, task in enumerate(tasks_of(board))}
            for board in self.boards
        }

    def model(self, run: Result) -> str:
        """The page of a run's model."""
        return self._models[str(run.folder)]

    def task(self, board: Board, task: str) -> str:
        """The page of a board's task."""
        return f"boards/{file_name(board.title)}/{file_name(task)}.html"

    def behind(self, board: Board, run: Result, column: str, score: Score) -> str:
        """The samples behind a run's score in a column of a leaderboard."""
        if score.mean is None:
            return ""
        if score.judged is not None:
            return self.samples(self._places[str(score.judged.folder)][0], score.judged)
        return self.samples(board, run, category="" if column == board.average else column)

    def samples(
        self, board: Board, run: Result | None = None, *, task: str = "", category: str = ""
    ) -> str:
        """The samples of a board, or of one run, one task, one category of a run."""
        asked = self.browsable[board.title].asked
        if run is not None:
            found = asked[str(run.folder)]
            if category:
                found = frozenset(name for name in found if run.category_of(name) == category)
        else:
            found = frozenset().union(*asked.values())
        if not (task in found if task else found):
            return ""
        wanted: dict[str, Any] = {}
        if run is not None:
            number = self._places[str(run.folder)][1]
            wanted |= {"left": number, "right": number}
        if task:
            wanted["task"] = f"t{self._tasks[board.title][task]}"
        if category:
            wanted["category"] = quote(category, safe="", errors="replace")
        address = "&".join(f"{name}={value}" for name, value in wanted.items())
        return f"boards/{file_name(board.title)}/samples.html" + (f"#{address}" if address else "")
