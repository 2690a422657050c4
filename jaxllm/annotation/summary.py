"""What a study's ratings say: means or win rates with intervals, and how far annotators agree.

Several annotators of one answer, and several turns or opponents of one question, are averaged
before anything else: the questions are what was sampled, so intervals are over questions.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxllm.annotation.scales import AXES, FIRST, SECOND, TIE
from jaxllm.errors import UserError
from jaxllm.reporting.agreement import cohen_kappa, krippendorff_alpha
from jaxllm.reporting.statistics import Interval, mean_interval

_LOWEST, _HIGHEST = 1, 5
_WORTH = {FIRST: 1.0, TIE: 0.5, SECOND: 0.0}  # of a preference, to the answer shown first

Record = Mapping[str, Any]


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """The summary as plain values.

    `axes` holds for each axis the `models` (rating: mean, low, high of the 95 % interval, counts of
    questions, ratings and "cannot judge"; pairwise: the same of the win rate, a tie counting half,
    with wins, ties and losses), in a pairwise study also the `pairs` and how often the answer
    `shown_first` won, and the `agreement`. `annotators` tells how many tasks each has rated and
    how long one took. Raises UserError without ratings or for both kinds of study at once.
    """
    kinds = {record["kind"] for record in records if record["ratings"]}
    if not kinds:
        raise UserError("nothing has been rated yet")
    if len(kinds) > 1:
        raise UserError("these are ratings and comparisons together: sum up each kind by itself")
    (kind,) = kinds
    on_axis = _rating_axis if kind == "rating" else _pairwise_axis
    axes = [axis for axis in AXES if any(axis in record["ratings"] for record in records)]
    return {
        "kind": kind,
        "num_tasks": sum(bool(record["ratings"]) for record in records),
        "axes": {axis: on_axis(axis, records) for axis in axes},
        "annotators": _annotators(records),
    }


def _rating_axis(axis: str, records: Sequence[Record]) -> dict[str, Any]:
    given = [record for record in records if axis in record["ratings"]]
    models = {}
    for model in sorted({record["model"] for record in given}):
        own = [record for record in given if record["model"] == model]
        scores = [(r["question_id"], r["ratings"][axis]) for r in own if _is_judged(r, axis)]
        models[model] = {
            **_estimate(_over_questions(scores, low=_LOWEST, high=_HIGHEST)),
            "num_questions": len({question for question, _ in scores}),
            "num_ratings": len(scores),
            "num_cannot_judge": len(own) - len(scores),
        }
    units = _units(
        ((r["question_id"], r["turn"], r["model"]), r["annotator"], float(r["ratings"][axis]))
        for r in given
        if _is_judged(r, axis)
    )
    return {"models": models, "agreement": _agreement(units, is_scale=True)}


def _pairwise_axis(axis: str, records: Sequence[Record]) -> dict[str, Any]:
    given = [record for record in records if axis in record["ratings"]]
    judged = [record for record in given if _is_judged(record, axis)]
    shown_first = [
        _Side(
            model=record["model_a"],
            against=record["model_b"],
            question=record["question_id"],
            worth=_WORTH[record["ratings"][axis]],
        )
        for record in judged
    ]
    sides = [*shown_first, *(side.turned() for side in shown_first)]
    names = sorted({side.model for side in sides})
    decided = [side for side in shown_first if side.worth != _WORTH[TIE]]
    # Two annotators may have seen a pair from different sides: compared is one model's side.
    units = _units(
        (
            (record["question_id"], record["turn"], *sorted((side.model, side.against))),
            record["annotator"],
            min(side, side.turned(), key=lambda either: either.model).worth,
        )
        for record, side in zip(judged, shown_first, strict=True)
    )
    return {
        "models": {name: _wins([side for side in sides if side.model == name]) for name in names},
        "pairs": [
            {"model": first, "against": second, **_wins(between)}
            for first, second in itertools.combinations(names, 2)
            if (between := [s for s in sides if (s.model, s.against) == (first, second)])
        ],
        "shown_first": {**_win_rate(decided), "num_ratings": len(decided)},
        "num_cannot_judge": len(given) - len(judged),
        "agreement": _agreement(units, is_scale=False),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Side:
    """A comparison as one of its two models sees it; `worth` is 1 won, 0.5 tied, 0 lost."""

    model: str
    against: str
    question: str
    worth: float

    def turned(self) -> _Side:
        """The same comparison from the other side."""
        return dataclasses.replace(
            self, model=self.against, against=self.model, worth=1 - self.worth
        )


def _wins(sides: Sequence[_Side]) -> dict[str, Any]:
    counts = collections.Counter(side.worth for side in sides)
    return {
        **_win_rate(sides),
        "wins": counts[1.0],
        "ties": counts[0.5],
        "losses": counts[0.0],
        "num_questions": len({side.question for side in sides}),
    }


def _win_rate(sides: Sequence[_Side]) -> dict[str, float | None]:
    worths = [(side.question, side.worth) for side in sides]
    return _estimate(_over_questions(worths, low=0, high=1))


def _is_judged(record: Record, axis: str) -> bool:
    return record["ratings"][axis] is not None


def _over_questions(
    scores: Iterable[tuple[str, float]], *, low: float, high: float
) -> Interval | None:
    """The mean over questions of each question's mean, with an interval within the scale."""
    by_question: dict[str, list[float]] = {}
    for question, score in scores:
        by_question.setdefault(question, []).append((score - low) / (high - low))
    if not by_question:
        return None
    unit = mean_interval([statistics.fmean(values) for values in by_question.values()])
    return Interval(
        mean=low + (high - low) * unit.mean,
        low=low + (high - low) * unit.low,
        high=low + (high - low) * unit.high,
    )


def _estimate(interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {"mean": None, "low": None, "high": None}
    return dataclasses.asdict(interval)


def _units(
    values: Iterable[tuple[tuple[Any, ...], str, float]],
) -> list[dict[str, float]]:
    """For each thing that was rated, what each annotator gave it."""
    units: dict[tuple[Any, ...], dict[str, float]] = {}
    for what, annotator, value in values:
        units.setdefault(what, {})[annotator] = value
    return list(units.values())


def _agreement(units: Sequence[Mapping[str, float]], *, is_scale: bool) -> dict[str, Any]:
    """Krippendorff's alpha of all annotators, Cohen's kappa and plain agreement of each two."""
    shared = [unit for unit in units if len(unit) > 1]
    names = sorted({name for unit in shared for name in unit})
    pairs = []
    for first, second in itertools.combinations(names, 2):
        both = [(unit[first], unit[second]) for unit in shared if first in unit and second in unit]
        if not both:
            continue
        kappa = cohen_kappa(
            [one for one, _ in both],
            [other for _, other in both],
            weights="quadratic" if is_scale else "none",
        )
        pairs.append(
            {
                "annotators": [first, second],
                "cohen_kappa": kappa,
                "equal": statistics.fmean(one == other for one, other in both),
                "num_shared": len(both),
            }
        )
    return {
        "krippendorff_alpha": krippendorff_alpha(
            [list(unit.values()) for unit in shared], level="ordinal" if is_scale else "nominal"
        ),
        "level": "ordinal" if is_scale else "nominal",
        "num_shared": len(shared),
        "pairs": pairs,
    }


def _annotators(records: Sequence[Record]) -> dict[str, Any]:
    """How many tasks each has rated, and the median of the seconds from look to last rating."""
    rated = [record for record in records if record["ratings"]]
    seconds: dict[str, list[float]] = {record["annotator"]: [] for record in rated}
    for record in rated:
        if record["opened_at"] and record["rated_at"]:
            spent = _time(record["rated_at"]) - _time(record["opened_at"])
            seconds[record["annotator"]].append(spent.total_seconds())
    return {
        name: {
            "num_tasks": sum(record["annotator"] == name for record in rated),
            "median_seconds": statistics.median(spent) if spent else None,
        }
        for name, spent in sorted(seconds.items())
    }


_time: Callable[[str], datetime.datetime] = datetime.datetime.fromisoformat
