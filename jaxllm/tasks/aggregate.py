"""Category means and their average, with what is missing named instead of counted as zero."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

from jaxllm.tasks.task import Suite


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Means over what was scored.

    `categories` has the scored ones in the suite's order, `average` their mean (None if there is
    none). `missing_categories` and `missing_tasks` should enter it and have no score: an average
    with anything missing is not the suite's average, and says so.
    """

    categories: Mapping[str, float]
    average_name: str
    average: float | None
    missing_categories: tuple[str, ...]
    missing_tasks: tuple[str, ...]


def aggregate(suite: Suite, headlines: Mapping[str, float]) -> Aggregate:
    """Means of a suite from its tasks' headline means (task name -> mean).

    A category is the plain mean of its tasks, the average the plain mean of the categories, as
    llm-jp-eval has it. Tasks without a category are run but enter no mean; scores of tasks that are
    not in the suite are ignored.
    """
    by_category: dict[str, list[float]] = {category: [] for category in suite.categories}
    missing_tasks = []
    for task in suite.tasks:
        if task.category is None:
            continue
        if task.name in headlines:
            by_category[task.category].append(headlines[task.name])
        elif task.category not in suite.not_averaged:
            missing_tasks.append(task.name)
    categories = {name: statistics.fmean(values) for name, values in by_category.items() if values}
    averaged = [name for name in suite.categories if name not in suite.not_averaged]
    present = [categories[name] for name in averaged if name in categories]
    return Aggregate(
        categories=categories,
        average_name=suite.average_name,
        average=statistics.fmean(present) if present else None,
        missing_categories=tuple(name for name in averaged if name not in categories),
        missing_tasks=tuple(missing_tasks),
    )
