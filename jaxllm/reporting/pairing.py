"""Two results on the same samples: which those are, and the differences of their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxllm.reporting.averages import averaged_categories
from jaxllm.reporting.results import Result
from jaxllm.reporting.statistics import Interval, mean_of, paired_difference

# What must agree for two scores of a sample to be scores of the same thing.
_SAME = ("data_sha256", "headline", "judge", "rubrics_sha256")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """The headline scores of two results on the samples of a task that both have, as shares."""

    ids: tuple[str, ...]
    before_N: np.ndarray
    after_N: np.ndarray


def pair_up(before: Result, after: Result, task: str) -> Pairs | None:
    """A task's pairs, None without any.

    Also None when the two were scored on different data, by different metrics or judges.
    """
    if task not in before.tasks or task not in after.tasks:
        return None
    if any(before.tasks[task].get(name) != after.tasks[task].get(name) for name in _SAME):
        return None
    first, second = (result.headline_scores.get(task, {}) for result in (before, after))
    ids = tuple(id for id in first if id in second)
    if not ids:
        return None
    return Pairs(
        ids=ids,
        before_N=np.array([first[id] for id in ids]),
        after_N=np.array([second[id] for id in ids]),
    )


def task_difference(before: Result, after: Result, task: str) -> Interval | None:
    """The paired difference of one task, None where `pair_up` has no pairs."""
    pairs = pair_up(before, after, task)
    return paired_difference(pairs.before_N, pairs.after_N) if pairs else None


def category_differences(before: Result, after: Result) -> dict[str, Interval]:
    """The paired difference `after - before` of each category that both were scored on alike.

    Tasks that neither was scored on enter no category of either.
    """
    by_category: dict[str, list[Interval | None]] = {}
    for task in after.tasks:
        category = after.category_of(task)
        is_scored = any(_is_scored(result, task) for result in (before, after))
        if category is not None and is_scored:
            by_category.setdefault(category, []).append(task_difference(before, after, task))
    return {
        category: mean_of([part for part in parts if part is not None])
        for category, parts in by_category.items()
        if None not in parts
    }


def average_difference(before: Result, after: Result) -> Interval | None:
    """The paired difference of the average; None unless every category of `after` compares."""
    averaged = averaged_categories(after)
    differences = category_differences(before, after)
    if not averaged or not differences.keys() >= set(averaged):
        return None
    return mean_of([differences[category] for category in averaged])


def _is_scored(result: Result, task: str) -> bool:
    entry = result.tasks.get(task)
    return entry is not None and "missing" not in entry["metrics"].get(entry["headline"], {})
