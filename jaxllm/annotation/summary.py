"""What a study's ratings say: means or win rates with intervals, and how far annotators agree.

Several annotators of one answer, and several turns or opponents of one question, are averaged
before anything else: the questions are what was sampled, so intervals are over questions.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxllm.annotation.scales import AXES, FIRST, SECOND, TIE
from jaxllm.errors import UserError
from jaxllm.reporting import win_rates
from jaxllm.reporting.agreement import cohen_kappa, krippendorff_alpha
from jaxllm.reporting.bradley_terry import strengths
from jaxllm.reporting.statistics import Interval, mean_interval
from jaxllm.reporting.win_rates import Comparison

_LOWEST, _HIGHEST = 1, 5
# Of a preference, to the answer shown first.
_WORTH = {FIRST: win_rates.WIN, TIE: win_rates.TIE, SECOND: win_rates.LOSS}

Record = Mapping[str, Any]


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """The summary as plain values.

    `axes` holds for each axis the `models` (rating: mean, low, high of the 95 % interval, counts of
    questions, ratings and "cannot judge"; pairwise: the same of the win rate, a tie counting half,
    with wins, ties and losses), in a pairwise study also the `pairs`, Bradley-Terry's `strengths`
    and how often the answer `shown_first` won, and the `agreement`. `annotators` tells how many
    tasks each has rated and how long one took. Raises UserError without ratings or for both kinds
    of study at once.
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
        Comparison(
            first=record["model_a"],
            second=record["model_b"],
            question=record["question_id"],
            worth=_WORTH[record["ratings"][axis]],
        )
        for record in judged
    ]
    decided = [one for one in shown_first if one.worth != win_rates.TIE]
    # Two annotators may have seen a pair from different sides: compared is one model's side.
    units = _units(
        (
            (record["question_id"], record["turn"], *sorted((one.first, one.second))),
            record["annotator"],
            min(one, one.turned(), key=lambda either: either.first).worth,
        )
        for record, one in zip(judged, shown_first, strict=True)
    )
    return {
        **win_rates.win_rates(shown_first),
        "strengths": {
            name: dataclasses.asdict(strength) for name, strength in strengths(shown_first).items()
        },
        "shown_first": {
            **win_rates.first_win_rate(decided),
            "num_ratings": len(decided),
        },
        "num_cannot_judge": len(given) - len(judged),
        "agreement": _agreement(units, is_scale=False),
    }


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
