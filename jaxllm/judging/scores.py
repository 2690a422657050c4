"""Judgments to numbers: means with what is missing left out and, beside them, counted the worst.

An item is one judged turn of one question, over all its samples and votes. A metric's mean is over
items, as FastChat's and llm-jp-judge's is where each has one vote. Its interval is over questions,
since the turns of one question are no independent samples.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from jaxllm.judging.benchmark import Benchmark, Metric, Question
from jaxllm.judging.judgments import Judgment
from jaxllm.reporting.statistics import mean_interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A metric of one judged turn: its value, None where nothing was readable, and the worst case.

    `imputed` tells that the value was not given by the judge.
    """

    question: str
    category: str
    turn: int
    value: float | None
    worst_case: float
    imputed: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """A metric over items; `mean` leaves out what is missing and is None where everything is.

    `worst_case` is the mean with every missing judgment at its worst; low and high bound the 95 %
    interval of the mean, None where there is none.
    """

    mean: float | None
    worst_case: float
    low: float | None
    high: float | None
    num_scored: int
    num_missing: int


def make_items(
    benchmark: Benchmark,
    metric: Metric,
    questions: Sequence[Question],
    judgments: Iterable[Judgment],
) -> list[Item]:
    """The items of a metric, in the order of the questions and their turns."""
    giving = {rubric.name for rubric in benchmark.rubrics if metric.score in rubric.scales}
    groups: dict[tuple[str, int], list[Judgment]] = {}
    for judgment in judgments:
        if judgment.rubric in giving:
            groups.setdefault((judgment.question, judgment.turn), []).append(judgment)
    category = {question.id: question.category for question in questions}
    place = {question.id: index for index, question in enumerate(questions)}
    items = []
    for (question, turn), group in sorted(
        groups.items(), key=lambda entry: (place[entry[0][0]], entry[0][1])
    ):
        values = [
            _value(metric, judgment.scores[metric.score])
            for judgment in group
            if judgment.scores is not None
        ]
        missing = [_worst(benchmark, metric)] * (len(group) - len(values))
        items.append(
            Item(
                question=question,
                category=category[question],
                turn=turn,
                value=statistics.fmean(values) if values else None,
                worst_case=statistics.fmean(values + missing),
                imputed=any(judgment.imputed for judgment in group),
            )
        )
    return items


def summarise(items: Sequence[Item], *, maximum: float) -> Summary:
    """A metric's mean over items, of which there is at least one; `maximum` is its best value."""
    scored = [item for item in items if item.value is not None]
    values = [item.value for item in scored if item.value is not None]
    low, high = _interval(scored, maximum)
    return Summary(
        mean=statistics.fmean(values) if values else None,
        worst_case=statistics.fmean(item.worst_case for item in items),
        low=low,
        high=high,
        num_scored=len(scored),
        num_missing=len(items) - len(scored),
    )


def maximum_of(benchmark: Benchmark, metric: Metric) -> float:
    """The best value of a metric: the top of its score's scale, or 1 for a share."""
    return benchmark.scales[metric.score][1] if metric.kind == "mean" else 1.0


def _value(metric: Metric, score: float) -> float:
    if metric.kind == "below":
        return float(score < metric.bound)
    if metric.kind == "above":
        return float(score > metric.bound)
    return score


def _worst(benchmark: Benchmark, metric: Metric) -> float:
    if metric.kind == "mean":
        return benchmark.scales[metric.score][0]
    return 1.0 if metric.kind == "below" else 0.0


def _interval(items: Sequence[Item], maximum: float) -> tuple[float | None, float | None]:
    by_question: dict[str, list[float]] = {}
    for item in items:
        if item.value is not None:
            by_question.setdefault(item.question, []).append(item.value / maximum)
    if not by_question:
        return None, None
    interval = mean_interval([statistics.fmean(values) for values in by_question.values()])
    if not math.isfinite(interval.half_width):
        return None, None
    return interval.low * maximum, interval.high * maximum
