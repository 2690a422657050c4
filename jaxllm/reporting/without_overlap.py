"""Scores without the samples that tuning data holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxllm.metrics import Scores
from jaxllm.metrics.scores import scores_of
from jaxllm.reporting.averages import measured, suite_averages
from jaxllm.reporting.results import Result, read_samples
from jaxllm.tasks import get_suite, suite_names

# The ids of the samples that overlap, by the sha256 of the data that they belong to.
Overlapping = Mapping[str, frozenset[str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A result as if some of its samples had not been asked, and a sentence on which."""

    result: Result
    note: str


def without_overlap(result: Result, overlapping: Overlapping) -> Cleaned | None:
    """The headline scores, categories and average of a result without samples that overlap.

    None where no task's data was compared with tuning data, or the suite is none of this program's.
    A task whose data was not compared keeps its score and is named. Raises DamagedResult when the
    samples cannot be read.
    """
    suite_name = result.record["suite"]
    compared = {
        name for name, task in result.tasks.items() if task.get("data_sha256") in overlapping
    }
    if not compared or (suite_name is not None and suite_name not in suite_names()):
        return None
    tasks, headlines, removed, asked = {}, {}, 0, 0
    for name, task in result.tasks.items():
        left_out = overlapping[task["data_sha256"]] if name in compared else frozenset()
        scores, count = _scores(result, name, left_out)
        removed, asked = removed + count, asked + task["num_samples"]
        entry = task["metrics"][task["headline"]]
        if isinstance(scores, Scores):
            headlines[name] = scores
            entry = measured(scores)
        elif "missing" not in entry:
            entry = {"missing": scores}
        metrics = {**task["metrics"], task["headline"]: entry}
        tasks[name] = {**task, "metrics": metrics, "num_samples": task["num_samples"] - count}
    record: dict[str, Any] = {**result.record, "tasks": tasks}
    if suite_name is not None:
        suite = get_suite(suite_name)
        here = tuple(task for task in suite.tasks if task.name in tasks)
        record |= suite_averages(dataclasses.replace(suite, tasks=here), headlines)
    note = f"without {removed:,} of {asked:,} samples, which overlap with tuning data"
    rest = [name.rpartition(":")[2] for name in tasks if name not in compared]
    if rest:
        note += f"; not compared: {', '.join(rest)}"
    stay = {
        name: {id: score for id, score in scores.items() if id not in gone}
        for name, scores in result.headline_scores.items()
        for gone in (overlapping.get(str(result.tasks[name].get("data_sha256")), frozenset()),)
    }
    cleaned = dataclasses.replace(result, record=record, headline_scores=stay)
    return Cleaned(result=cleaned, note=note)


def _scores(result: Result, task: str, left_out: frozenset[str]) -> tuple[Scores | str, int]:
    """The headline's scores over the samples that stay, or why there are none; how many go."""
    measured_before = result.tasks[task]
    headline = measured_before["headline"]
    samples = list(read_samples(result, task))
    kept = [sample["scores"].get(headline) for sample in samples if sample["id"] not in left_out]
    count = len(samples) - len(kept)
    entry = measured_before["metrics"][headline]
    if "missing" in entry:
        return entry["missing"], count
    if not count and None in kept:
        return Scores(mean=entry["mean"], per_sample=None, maximum=result.maximum(task)), 0
    if not kept:
        return "every sample overlaps", count
    if None in kept:
        return "samples have no score of their own that could be left out", count
    return scores_of(kept, maximum=result.maximum(task)), count
