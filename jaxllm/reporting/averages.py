"""What a result says of scores: each with its interval, the categories and their average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.metrics import Scores
from jaxllm.reporting.results import Result
from jaxllm.reporting.statistics import Interval, mean_interval, mean_of
from jaxllm.tasks import Suite, aggregate, get_suite, suite_names


def measured(scores: Scores) -> dict[str, Any]:
    """The entry of one metric: mean and interval on the metric's scale, and its maximum."""
    interval = _interval_of(scores)
    return {
        "mean": scores.mean,
        "interval": [side * scores.maximum for side in _pair(interval) or ()] or None,
        "maximum": scores.maximum,
    }


def suite_averages(suite: Suite, headlines: Mapping[str, Scores]) -> dict[str, Any]:
    """The entries `categories` and `average` of a suite's result.

    `headlines` are the scores of its tasks' first metrics, by task, as far as there are any.
    """
    # Metrics of other scales meet here, so each enters as a share of its maximum.
    means = aggregate(
        suite, {name: scores.mean / scores.maximum for name, scores in headlines.items()}
    )
    intervals: dict[str, Interval | None] = {}
    for category in means.categories:
        intervals[category] = _mean_over(
            [
                _interval_of(headlines[task.name])
                for task in suite.tasks
                if task.category == category and task.name in headlines
            ]
        )
    overall = _mean_over(
        [part for name, part in intervals.items() if name not in suite.not_averaged]
    )
    return {
        "categories": {
            name: {"mean": mean, "interval": _pair(intervals[name])}
            for name, mean in means.categories.items()
        },
        "average": {
            "name": means.average_name,
            "mean": means.average,
            "interval": _pair(overall),
            "missing": list(means.missing_categories),
            "missing_tasks": list(means.missing_tasks),
            "parts": dict(means.parts),
        },
    }


def averaged_categories(result: Result) -> tuple[str, ...]:
    """The scored categories over which a result's average is the mean."""
    suite = result.record["suite"]
    left_out = get_suite(suite).not_averaged if suite in suite_names() else ()
    return tuple(name for name in result.categories if name not in left_out)


def _interval_of(scores: Scores) -> Interval | None:
    """The interval of a metric's mean as a share of its maximum: intervals are made for 0-1."""
    if not scores.per_sample:
        return None
    return mean_interval([score / scores.maximum for score in scores.per_sample])


def _mean_over(parts: Sequence[Interval | None]) -> Interval | None:
    # A corpus-level metric has no score per sample, so a mean that holds one has no interval.
    known = [part for part in parts if part is not None]
    return mean_of(known) if known and len(known) == len(parts) else None


def _pair(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None
