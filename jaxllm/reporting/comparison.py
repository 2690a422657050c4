"""The effect of tuning: two results on the same samples, with what may be chance told apart.

Differences are `after - before` over the samples that both answered: of each task by a paired
bootstrap, of categories and the average combined from their tasks' as their means are. p-values
are by permutation; tasks and categories are a family each, corrected by Holm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxllm.reporting.averages import averaged_categories
from jaxllm.reporting.browsing import RIGHT_FROM
from jaxllm.reporting.paired_tests import bootstrap_difference, holm, permutation_p_value
from jaxllm.reporting.pairing import Pairs, pair_up
from jaxllm.reporting.results import Result, read_samples
from jaxllm.reporting.statistics import Interval, mean_of
from jaxllm.reporting.tuned_on import tuned_tasks, unreadable_sources


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed in a task, a category or the average.

    `before` and `after` are means over the samples of both, as shares of the best there is.
    `adjusted` is the p-value within its family. `in_distribution` counts the tasks in it whose
    corpus is part of the tuning mixture, of `num_tasks`.
    """

    name: str
    before: float
    after: float
    interval: Interval
    p_value: float
    adjusted: float
    num_samples: int
    num_tasks: int = 1
    in_distribution: int = 0


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A sample that one of the two answered right; `gained` where that is the second.

    `prompt` is the second's; `before` and `after` are the answers as they were read from the
    outputs.
    """

    task: str
    id: str
    gained: bool
    prompt: str
    gold: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two results compared. `average` is None without a suite, or where categories are missing.

    `average_elsewhere` is the average over tasks that are not in the tuning mixture; None where
    none is, or no other. `left_out` says which tasks do not compare, and why.
    """

    title: str
    average_name: str | None
    before: Result
    after: Result
    average: Difference | None
    average_elsewhere: Difference | None
    categories: tuple[Difference, ...]
    tasks: tuple[Difference, ...]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]


def compare(before: Result, after: Result, *, title: str = "") -> Comparison:
    """The comparison of two results of one suite, split and number of shots."""
    pairs = {task: found for task in after.tasks if (found := pair_up(before, after, task))}
    tuned = tuned_tasks(after)
    differences = {task: _difference(task, {task: 1.0}, pairs, tuned) for task in pairs}
    by_category: dict[str, list[str]] = {}
    for task in after.tasks:
        category = after.category_of(task)
        if category is not None and category in after.categories:
            by_category.setdefault(category, []).append(task)
    whole = {name: tasks for name, tasks in by_category.items() if all(t in pairs for t in tasks)}
    categories = [
        _difference(name, _shares([tasks]), pairs, tuned) for name, tasks in sorted(whole.items())
    ]
    averaged = averaged_categories(after) if after.average else ()
    average = elsewhere = None
    if averaged and all(name in whole for name in averaged):
        groups = [whole[name] for name in averaged]
        average = _difference(after.average["name"], _shares(groups), pairs, tuned)
        others = [[task for task in tasks if task not in tuned] for tasks in groups]
        others = [tasks for tasks in others if tasks]
        if others and average.in_distribution:
            name = f"{after.average['name']}, other tasks"
            elsewhere = _difference(name, _shares(others), pairs, tuned)
    return Comparison(
        title=title,
        average_name=after.average.get("name"),
        before=before,
        after=after,
        average=average,
        average_elsewhere=elsewhere,
        categories=_corrected(categories),
        tasks=_corrected(list(differences.values())),
        left_out=tuple(_left_out(before, after, pairs)),
        remarks=tuple(_remarks(after)),
    )


def flips(comparison: Comparison) -> Iterator[Flip]:
    """The samples that one of the two answered right and the other wrong, task by task.

    Right is a score of at least half the best there is.
    """
    for difference in comparison.tasks:
        task = difference.name
        pairs = pair_up(comparison.before, comparison.after, task)
        assert pairs is not None
        right_2N = np.stack([pairs.before_N, pairs.after_N]) >= RIGHT_FROM
        turned = {
            id: bool(after)
            for id, before, after in zip(pairs.ids, *right_2N, strict=True)
            if before != after
        }
        if not turned:
            continue
        first = {
            sample["id"]: sample
            for sample in read_samples(comparison.before, task)
            if sample["id"] in turned
        }
        for sample in read_samples(comparison.after, task):
            if (id := sample["id"]) in turned:
                yield Flip(
                    task=task,
                    id=id,
                    gained=turned[id],
                    prompt=sample["prompt"],
                    gold=sample["gold"],
                    before=first[id]["prediction"],
                    after=sample["prediction"],
                )


def _shares(groups: Sequence[Sequence[str]]) -> dict[str, float]:
    """What each task weighs in the mean over groups of the means over their tasks."""
    return {task: 1 / (len(groups) * len(tasks)) for tasks in groups for task in tasks}


def _difference(
    name: str, shares: Mapping[str, float], pairs: Mapping[str, Pairs], tuned: frozenset[str]
) -> Difference:
    some = [(share, pairs[task]) for task, share in shares.items()]
    p_value = permutation_p_value([share * (pair.after_N - pair.before_N) for share, pair in some])
    return Difference(
        name=name,
        before=sum(share * float(pair.before_N.mean()) for share, pair in some),
        after=sum(share * float(pair.after_N.mean()) for share, pair in some),
        interval=_weighted(
            [(share, bootstrap_difference(pair.before_N, pair.after_N)) for share, pair in some]
        ),
        p_value=p_value,
        adjusted=p_value,
        num_samples=sum(len(pair.ids) for _, pair in some),
        num_tasks=len(shares),
        in_distribution=sum(task in tuned for task in shares),
    )


def _weighted(parts: Sequence[tuple[float, Interval]]) -> Interval:
    """The weighted sum of independent estimates: `mean_of` for shares that are not equal."""
    count = len(parts)
    scaled = [
        Interval(
            mean=count * share * part.mean,
            low=count * share * part.low,
            high=count * share * part.high,
        )
        for share, part in parts
    ]
    return mean_of(scaled)


def _corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    adjusted = holm([difference.p_value for difference in differences])
    return tuple(
        replace(difference, adjusted=value)
        for difference, value in zip(differences, adjusted, strict=True)
    )


def _left_out(before: Result, after: Result, pairs: Mapping[str, Pairs]) -> Iterator[str]:
    for task in dict.fromkeys((*before.tasks, *after.tasks)):
        if task in pairs:
            continue
        if task not in before.tasks or task not in after.tasks:
            yield f"{task}: only one of the two was asked"
        elif task not in before.headline_scores or task not in after.headline_scores:
            yield f"{task}: without scores of samples"
        else:
            yield f"{task}: scored on other data, by another metric or judge"


def _remarks(after: Result) -> Iterator[str]:
    if after.record["model"].get("lineage") is None:
        yield "what it was tuned on is not recorded"
    for source in unreadable_sources(after):
        yield f"tuned on {source}, which may hold tasks: `jaxllm data overlap {source}` tells"
