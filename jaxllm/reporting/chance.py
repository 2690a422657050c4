"""Scores above guessing: 0 is what a blind guess among the given answers earns, 1 the best."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

from jaxllm.reporting.averages import averaged_categories
from jaxllm.reporting.results import Result
from jaxllm.reporting.statistics import Interval, mean_of

# How many answers there are to choose from, for corpora whose tasks list no labels.
_NUM_ANSWERS = {
    "commonsensemoralja": 2,
    "jamp": 3,
    "janli": 2,
    "jblimp": 2,
    "jcola-in-domain": 2,
    "jcola-out-of-domain": 2,
    "jcommonsenseqa": 5,
    "jmmlu": 4,
    "jnli": 3,
    "jsem": 4,
    "jsick": 3,
    "kuci": 4,
    "mini/mc": 3,
    "mini/nli": 3,
    "mmlu_en": 4,
    "mmluen": 4,
    "mmlu_prox_ja": 10,
    "mmmlu": 4,
    "winogrande_xl": 2,
}
_Score = Interval | float  # a metric of a whole corpus has no interval
_GUESSABLE = ("exact_match", "acc", "acc_norm")


def chance_score(task: Mapping[str, Any]) -> float:
    """What guessing uniformly scores on a task of a result, as a share; 0 for open answers."""
    if task["headline"] not in _GUESSABLE:
        return 0.0
    count = len(task.get("labels") or ()) or _NUM_ANSWERS.get(task.get("corpus", ""), 0)
    return 1 / count if count > 1 else 0.0


def above_chance(result: Result) -> Result:
    """The result with every score s of a task as (s - chance) / (1 - chance), and its means anew.

    A score below guessing is negative. Intervals and samples' scores go through the same line;
    categories and their average are made of the tasks again.
    """
    tasks, headline_scores = {}, {}
    parts: dict[str, list[_Score]] = {}
    for name, task in result.tasks.items():
        chance, measured = chance_score(task), task["metrics"][task["headline"]]
        tasks[name] = task
        if "missing" in measured:
            continue
        score = _above_chance(measured, result.maximum(name), chance)
        metrics = {**task["metrics"], task["headline"]: {**_entry(score), "maximum": 1.0}}
        tasks[name] = {**task, "metrics": metrics}
        headline_scores[name] = {
            id: (share - chance) / (1 - chance)
            for id, share in result.headline_scores.get(name, {}).items()
        }
        category = result.category_of(name)
        if category in result.categories:
            parts.setdefault(category, []).append(score)
    record = {**result.record, "tasks": tasks}
    if result.average and tasks:
        categories = {name: _mean(some) for name, some in parts.items()}
        averaged = [categories[name] for name in averaged_categories(result) if name in categories]
        record["categories"] = {name: _entry(score) for name, score in categories.items()}
        record["average"] = {**result.average, **(_entry(_mean(averaged)) if averaged else {})}
    return dataclasses.replace(result, record=record, headline_scores=headline_scores)


def _above_chance(measured: Mapping[str, Any], maximum: float, chance: float) -> _Score:
    mean, *ends = (
        (value / maximum - chance) / (1 - chance)
        for value in (measured["mean"], *(measured.get("interval") or ()))
    )
    return Interval(mean=mean, low=ends[0], high=ends[1]) if ends else mean


def _mean(parts: list[_Score]) -> _Score:
    known = [part for part in parts if isinstance(part, Interval)]
    if len(known) == len(parts):
        return mean_of(known)
    return statistics.fmean(part.mean if isinstance(part, Interval) else part for part in parts)


def _entry(score: _Score) -> dict[str, Any]:
    if isinstance(score, Interval):
        return {"mean": score.mean, "interval": [score.low, score.high]}
    return {"mean": score, "interval": None}
