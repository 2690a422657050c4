"""Category means and their average, with what is missing named instead of counted as zero."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Container, Mapping, Sequence

from jaxllm.tasks.task import Suite


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Means over what was scored.

    `categories` has the scored ones in the suite's order, `average` their mean (None if there is
    none). `missing_categories` and `missing_tasks` should enter it and have no score: an average
    with anything missing is not the suite's average, and says so. `parts` has the suite's averages
    over some of its tasks, those of which at least one was scored.
    """

    categories: Mapping[str, float]
    average_name: str
    average: float | None
    missing_categories: tuple[str, ...]
    missing_tasks: tuple[str, ...]
    parts: Mapping[str, float]


def aggregate(suite: Suite, headlines: Mapping[str, float]) -> Aggregate:
    """Means of a suite from its tasks' headline means (task name -> mean).

    A category is the plain mean of its tasks, the average the plain mean of the categories, as
    llm-jp-eval has it; an average over a part of the tasks is the mean of the categories' means
    over that part. Tasks without a category are run but enter no mean; scores of tasks that are
    not in the suite are ignored.
    """
    averaged = [name for name in suite.categories if name not in suite.not_averaged]
    categories = _category_means(suite, headlines, {task.name for task in suite.tasks})
    parts = {
        name: _mean_over(averaged, _category_means(suite, headlines, some))
        for name, some in suite.parts.items()
    }
    return Aggregate(
        categories=categories,
        average_name=suite.average_name,
        average=_mean_over(averaged, categories),
        missing_categories=tuple(name for name in averaged if name not in categories),
        missing_tasks=tuple(
            task.name
            for task in suite.tasks
            if task.category in averaged and task.name not in headlines
        ),
        parts={name: mean for name, mean in parts.items() if mean is not None},
    )


def _mean_over(averaged: Sequence[str], categories: Mapping[str, float]) -> float | None:
    present = [categories[name] for name in averaged if name in categories]
    return statistics.fmean(present) if present else None


def _category_means(
    suite: Suite, headlines: Mapping[str, float], some: Container[str]
) -> dict[str, float]:
    """The mean of each category over the scored tasks that are among `some`, by name."""
    scored = {
        category: [
            headlines[task.name]
            for task in suite.tasks
            if task.category == category and task.name in some and task.name in headlines
        ]
        for category in suite.categories
    }
    return {category: statistics.fmean(means) for category, means in scored.items() if means}
