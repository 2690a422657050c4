"""Which results belong in one table, what part each plays there, and what to call it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxllm.reporting.results import Result

MAJORITY, CONTROL, BASE, TUNED = "majority", "control", "base", "tuned"
_ORDER = (MAJORITY, CONTROL, BASE, TUNED)
# What must agree between two results of a task for their scores to be comparable.
_CONDITIONS = (
    "data_sha256",
    "shots_sha256",
    "shot_seed",
    "instruction",
    "template",
    "extraction",
    "max_new_tokens",
    "stop",
    "bos",
    "headline",
    "judge",
    "rubrics_sha256",
)


@dataclass(frozen=True, kw_only=True)
class Board:
    """Results of one suite, split and number of shots: scores that may stand in one table.

    `average` is the name of the mean over the categories, None for tasks asked without a suite
    (each is then a category of its own). `runs` holds the last result of every run, ordered as rows
    of the table (majority answer, blanked input, base models, tuned models); `earlier` the results
    at earlier training steps.
    """

    title: str
    average: str | None
    categories: tuple[str, ...]
    runs: tuple[Result, ...]
    earlier: tuple[Result, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)  # of every result, by folder

    def label(self, result: Result) -> str:
        """The name of a result's run in tables and legends, unique on this board."""
        return self.labels[str(result.folder)]

    def having(self, role: str) -> tuple[Result, ...]:
        """The runs that play this role: MAJORITY, CONTROL, BASE or TUNED."""
        return tuple(result for result in self.runs if role_of(result) == role)


def role_of(result: Result) -> str:
    """The part a result plays: what its `run.kind` says, or what its inputs and its step tell."""
    kind = result.record["run"]["kind"]
    if kind == MAJORITY:
        return MAJORITY
    if kind == CONTROL or result.record.get("blank_inputs"):
        return CONTROL
    untuned = result.step == 0 or (result.step is None and not kind)
    return BASE if kind == BASE or untuned else TUNED


def steps_of(board: Board, run: Result) -> tuple[Result, ...]:
    """All results of one run in order of training steps, the last one included."""
    steps = [result for result in (*board.earlier, run) if _run_key(result) == _run_key(run)]
    return tuple(sorted(steps, key=_step))


def make_boards(results: Sequence[Result]) -> tuple[Board, ...]:
    """Sorts results into boards; results of different suites, splits or shots never meet."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(_title(result), []).append(result)
    # The test split comes first: it is the result, the others are how it came about.
    titles = sorted(groups, key=lambda title: ("test split" not in title, title))
    return tuple(_make_board(title, groups[title]) for title in titles)


def differing_conditions(board: Board) -> tuple[str, ...]:
    """Sentences on each task whose results on this board were not measured in the same way."""
    sentences = []
    for task in sorted({task for run in board.runs for task in run.tasks}):
        runs = [run for run in board.runs if task in run.tasks]
        differing = [
            name
            for name in _CONDITIONS
            if len({json.dumps(run.tasks[task].get(name)) for run in runs}) > 1
        ]
        counts = sorted({run.tasks[task]["num_samples"] for run in runs})
        if len(counts) > 1:
            differing.append(f"number of samples ({counts[0]} to {counts[-1]})")
        if differing:
            sentences.append(f"{task}: the runs differ in {', '.join(differing)}")
    return tuple(sentences)


def _make_board(title: str, results: list[Result]) -> Board:
    last: dict[tuple[str, str], Result] = {}
    for result in sorted(results, key=_step):
        last[_run_key(result)] = result
    runs = sorted(last.values(), key=lambda run: (_ORDER.index(role_of(run)), _plain_label(run)))
    categories = {name for run in runs for name in _category_names(run)}
    return Board(
        title=title,
        average=runs[0].average.get("name"),
        categories=tuple(sorted(categories)),
        runs=tuple(runs),
        earlier=tuple(result for result in results if result not in runs),
        labels=_labels(results),
    )


def _title(result: Result) -> str:
    suite = result.record["suite"] or " + ".join(sorted(result.tasks))
    if not result.tasks and result.record["num_shots"] is None:
        return f"{suite} · {result.record['split']} split · published"
    asked_with = {task.get("num_shots", 0) for task in result.tasks.values()}
    shots = sorted(asked_with or {result.record["num_shots"]})
    of_each = "–".join(map(str, dict.fromkeys((shots[0], shots[-1]))))
    return f"{suite} · {result.record['split']} split · {of_each}-shot"


def _category_names(result: Result) -> set[str]:
    missing = result.average.get("missing", ()) if result.record["suite"] else result.tasks
    return {*result.categories, *missing}


def _run_key(result: Result) -> tuple[str, str]:
    # An evaluator leaves its steps side by side in one folder: WORKDIR/evals/NAME/STEP.
    folder = result.folder if result.step is None else result.folder.parent
    return role_of(result), str(folder)


def _step(result: Result) -> float:
    return float("inf") if result.step is None else result.step


def _plain_label(result: Result) -> str:
    role, name = role_of(result), result.record["model"]["name"]
    if role == MAJORITY:
        return "majority answer"
    if role == CONTROL:
        return f"{name}, blanked input"
    kind = result.record["run"]["kind"]
    if role == BASE:  # a model asked as it is may be anything
        return f"{name}, before tuning" if kind or result.step is not None else name
    kind = kind or TUNED
    kind = "after tuning" if kind == TUNED else kind
    return f"{name}, {kind}" + ("" if result.step is None else f", step {result.step:,}")


def _labels(results: Sequence[Result]) -> dict[str, str]:
    by_label: dict[str, list[str]] = {}
    for result in results:
        by_label.setdefault(_plain_label(result), []).append(str(result.folder))
    labels = {}
    for label, folders in by_label.items():
        levels = zip(*(folder.split("/")[:-1] for folder in folders), strict=False)
        shared = sum(1 for _ in itertools.takewhile(lambda names: len(set(names)) == 1, levels))
        for folder in folders:
            where = "/".join(folder.split("/")[shared:])
            labels[folder] = label if len(folders) == 1 else f"{label} ({where})"
    return labels
