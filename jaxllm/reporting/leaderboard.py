"""The leaderboard: models by their average and categories, ranks with ties, judged scores beside.

Models are ranked by their average. A model shares the rank of the first one above it from which it
does not differ significantly: the 95 % interval of their paired difference, on the samples both
answered, holds 0. Ranked are the models that were scored on the same tasks, those of most models
here; without scores of samples a rank says the order alone, and is marked.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxllm.errors import UserError
from jaxllm.reporting.boards import CONTROL, MAJORITY, Board, role_of
from jaxllm.reporting.chance import above_chance
from jaxllm.reporting.grid import MISSING, Grid
from jaxllm.reporting.pairing import average_difference
from jaxllm.reporting.results import Result
from jaxllm.reporting.table import remarks

NAME = "model"


@dataclass(frozen=True, kw_only=True)
class Score:
    """A cell: a mean with its interval on a scale up to `maximum`; `note` says what is missing.

    `mean` is None for a score that is missing, low and high where there is no interval;
    `num_samples` counts what the mean is over. `judged` is the result of a judge that gave it.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    num_samples: int = 0
    maximum: float = 1.0
    note: str = ""
    judged: Result | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model's line. `rank` is None where it cannot be compared; `tested` tells whether ties of
    this rank were looked for in paired differences.
    """

    label: str
    role: str
    rank: int | None
    tested: bool
    scores: tuple[Score, ...]
    result: Result


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Entries in the order asked for; `columns` names the scores of each."""

    title: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    chance_corrected: bool


def make_leaderboard(
    board: Board, judged: Sequence[Result] = (), *, sort: str = "", chance_corrected: bool = False
) -> Leaderboard:
    """The leaderboard of a board's last results.

    Args:
        judged: judged results of any models; those of models on this board become columns.
        sort: a column, best first, or "model"; empty for the average.

    Raises:
        UserError: there is no column of that name.
    """
    runs = [above_chance(run) if chance_corrected else run for run in board.runs]
    by_benchmark = _judged_columns(runs, judged)
    columns = (*((board.average,) if board.average else ()), *board.categories, *by_benchmark)
    ranks = _ranks([run for run in runs if role_of(run) not in (MAJORITY, CONTROL)])
    entries = []
    for run in runs:
        rank, tested = ranks.get(str(run.folder), (None, False))
        scores = [_average(run)] if board.average else []
        scores += [_category(run, category) for category in board.categories]
        scores += [found.get(str(run.folder), _NOT_JUDGED) for found in by_benchmark.values()]
        entries.append(
            Entry(
                label=board.label(run),
                role=role_of(run),
                rank=rank,
                tested=tested,
                scores=tuple(scores),
                result=run,
            )
        )
    return Leaderboard(
        title=board.title,
        columns=columns,
        entries=tuple(_sorted(entries, columns, sort)),
        chance_corrected=chance_corrected,
    )


def leaderboard_grid(leaderboard: Leaderboard, *, digits: int = 3) -> Grid:
    """The leaderboard in words; scores of a scale above 1 have a digit less behind the point."""
    notes: list[str] = []
    rows, records = [], []
    untested = False
    for entry in leaderboard.entries:
        untested |= entry.rank is not None and not entry.tested
        rank = MISSING if entry.rank is None else f"{entry.rank}{'' if entry.tested else '?'}"
        rows.append((entry.label, rank, *(_shown(score, digits, notes) for score in entry.scores)))
        record: dict[str, Any] = {NAME: entry.label, "role": entry.role, "rank": entry.rank}
        for column, score in zip(leaderboard.columns, entry.scores, strict=True):
            values = (score.mean, score.low, score.high, score.num_samples)
            names = (column, *(f"{column}_{what}" for what in ("low", "high", "samples")))
            record |= dict(zip(names, values, strict=True))
        records.append(record)
    shown = [
        "score, and half its 95 % interval below",
        "models share a rank with the first above from which they do not differ (paired, 5 %)",
    ]
    if untested:
        shown.append("? order alone: there are no scores of samples to tell ties by")
    if leaderboard.chance_corrected:
        shown.append("above chance: 0 is blind guessing among the given answers, 1 the best")
    counts = zip(
        *([score.num_samples for score in e.scores] for e in leaderboard.entries), strict=True
    )
    return Grid(
        title=leaderboard.title,
        columns=(NAME, "rank", *leaderboard.columns),
        rows=(*rows, ("samples", "", *map(_span, counts))),
        records=tuple(records),
        notes=(*shown, *(f"[{number}] {note}" for number, note in enumerate(notes, start=1))),
    )


def is_judged(result: Result) -> bool:
    """Whether a judge gave the scores."""
    return "judge" in result.record


_NOT_JUDGED = Score(mean=None)


def _judged_columns(
    runs: Sequence[Result], judged: Sequence[Result]
) -> dict[str, dict[str, Score]]:
    """Each benchmark's scores by the folder of the run they belong to."""
    matched = [(run, other) for other in judged for run in runs if _is_same_model(run, other)]
    judges = {_benchmark(other): set[str]() for _, other in matched}
    for _, other in matched:
        judges[_benchmark(other)].add(_judge(other))
    columns: dict[str, dict[str, Score]] = {}
    for run, other in matched:
        name = _benchmark(other)
        if len(judges[name]) > 1:  # scores of two judges are no scores of one thing
            name = f"{name} ({_judge(other)})"
        columns.setdefault(name, {})[str(run.folder)] = _overall(other)
    return dict(sorted(columns.items()))


def _is_same_model(run: Result, other: Result) -> bool:
    if role_of(run) in (MAJORITY, CONTROL) or run.step != other.step:
        return False
    digests = [result.record["model"].get("weights_digest") for result in (run, other)]
    if all(digests):
        return digests[0] == digests[1]
    return run.record["model"]["name"] == other.record["model"]["name"]


def _benchmark(result: Result) -> str:
    return result.record["suite"] or next(iter(result.tasks))


def _judge(result: Result) -> str:
    return str(result.record["judge"].get("model"))


def _overall(result: Result) -> Score:
    measured: dict[str, Any] = next(iter(result.record.get("overall", {}).values()), {})
    missing = measured.get("num_missing", 0)
    return Score(
        mean=measured.get("mean"),
        **_ends(measured),
        num_samples=measured.get("num_scored", 0),
        maximum=measured.get("maximum", 1.0),
        judged=result,
        note=measured.get("missing", "")
        or (f"{_benchmark(result)}: {missing} judgments are missing" if missing else ""),
    )


def _average(run: Result) -> Score:
    missing, tasks = run.average.get("missing", ()), run.average.get("missing_tasks", ())
    notes = []
    if missing:
        notes.append(f"of {len(run.categories)} categories, without {', '.join(missing)}")
    rest = [task for task in tasks if run.tasks[task]["category"] not in missing]
    if rest:
        notes.append(f"without the tasks {', '.join(task.rpartition(':')[2] for task in rest)}")
    return Score(
        mean=run.average.get("mean"),
        **_ends(run.average),
        num_samples=sum(task["num_samples"] for task in run.tasks.values() if task["category"]),
        note="; ".join(notes),
    )


def _category(run: Result, category: str) -> Score:
    measured = run.categories.get(category, {})
    return Score(
        mean=measured.get("mean"),
        **_ends(measured),
        num_samples=sum(
            task["num_samples"]
            for name, task in run.tasks.items()
            if run.category_of(name) == category
        ),
        note=remarks(run, category, measured),
    )


def _ends(measured: Any) -> dict[str, Any]:
    low, high = measured.get("interval") or (None, None)
    return {"low": low, "high": high}


def _ranks(runs: Sequence[Result]) -> dict[str, tuple[int, bool]]:
    """Rank, and whether ties were looked for, by folder of the runs that can be compared."""
    of_tasks = collections.Counter(map(_scored_tasks, runs))
    most = max(of_tasks, key=lambda tasks: (of_tasks[tasks], len(tasks)), default=None)
    ranked = [
        run for run in runs if _scored_tasks(run) == most and run.average.get("mean") is not None
    ]
    ranked.sort(key=lambda run: -run.average["mean"])
    ranks: dict[str, tuple[int, bool]] = {}
    first, rank = None, 0
    for place, run in enumerate(ranked, start=1):
        difference = None if first is None else average_difference(run, first)
        tested = difference is not None or (first is None and bool(run.headline_scores))
        if difference is None or difference.low > 0:
            first, rank = run, place
        ranks[str(run.folder)] = rank, tested
    return ranks


def _scored_tasks(run: Result) -> frozenset[str]:
    if not run.tasks:  # published scores tell categories alone
        return frozenset(run.categories)
    return frozenset(
        name
        for name, task in run.tasks.items()
        if "missing" not in task["metrics"][task["headline"]]
    )


def _sorted(entries: Sequence[Entry], columns: tuple[str, ...], sort: str) -> list[Entry]:
    """Floors stay at the end: they are no models."""
    if sort and sort != NAME and sort not in columns:
        raise UserError(f"sort={sort!r} is no column; there are {', '.join((NAME, *columns))}")
    index = columns.index(sort) if sort in columns else 0

    def key(entry: Entry) -> tuple[Any, ...]:
        mean = entry.scores[index].mean if entry.scores else None
        is_floor = entry.role in (MAJORITY, CONTROL)
        if sort == NAME:
            return is_floor, entry.label
        return is_floor, mean is None, 0.0 if mean is None else -mean, entry.label

    return sorted(entries, key=key)


def _span(counts: Sequence[int]) -> str:
    """How many samples the scores of a column are over; of scores that are not of samples, none."""
    known = sorted({count for count in counts if count})
    return "–".join(f"{count:,}" for count in dict.fromkeys((*known[:1], *known[-1:])))


def _shown(score: Score, digits: int, notes: list[str]) -> str:
    mark = ""
    if score.note:
        if score.note not in notes:
            notes.append(score.note)
        mark = f"[{notes.index(score.note) + 1}]"
    if score.mean is None:
        return f"{MISSING}{mark}"
    places = digits if score.maximum <= 1 else digits - 1
    text = f"{score.mean:.{places}f}{mark}"
    if score.low is not None and score.high is not None:
        half_width = f"{(score.high - score.low) / 2:.{places}f}".removeprefix("0")
        text += f"\n±{half_width}"
    return text
