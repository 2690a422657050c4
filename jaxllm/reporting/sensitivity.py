"""What a score owes to how it was asked: shots, their order, extraction, template, decoding.

Results of one model, task and data that differ in such conditions are set side by side. `vary` in
an entry of `config.evals` asks for them in one run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxllm.reporting.boards import CONTROL, MAJORITY, role_of
from jaxllm.reporting.results import Result

CONDITIONS = ("num_shots", "shot_seed", "extraction", "template", "instruction", "max_new_tokens")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of asking: its conditions as far as they differ, the score and its interval."""

    conditions: tuple[tuple[str, Any], ...]
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """A task of a model asked in several ways. `spread` is the best score less the worst."""

    model: str
    task: str
    num_samples: int
    variants: tuple[Variant, ...]

    @property
    def spread(self) -> float:
        """What the way of asking is worth."""
        means = [variant.mean for variant in self.variants]
        return max(means) - min(means)


def find_sensitivities(results: Sequence[Result]) -> tuple[Sensitivity, ...]:
    """The tasks of these results that one model was asked in more than one way."""
    groups: dict[tuple[str, ...], list[tuple[Result, str]]] = {}
    for result in results:
        if role_of(result) in (MAJORITY, CONTROL):
            continue
        for task, entry in result.tasks.items():
            if "missing" not in entry["metrics"][entry["headline"]]:
                groups.setdefault(_key(result, task), []).append((result, task))
    found = (_sensitivity(group) for group in groups.values() if len(group) > 1)
    return tuple(sorted(filter(None, found), key=lambda one: (one.model, one.task)))


def _key(result: Result, task: str) -> tuple[str, ...]:
    model, entry = result.record["model"], result.tasks[task]
    same = [model["name"], model.get("weights_digest"), result.step, result.record["split"], task]
    same += [entry.get("data_sha256"), entry["headline"], entry["num_samples"]]
    return tuple(map(str, same))


def _sensitivity(group: Sequence[tuple[Result, str]]) -> Sensitivity | None:
    entries = [result.tasks[task] for result, task in group]
    differing = [
        name for name in CONDITIONS if len({json.dumps(entry.get(name)) for entry in entries}) > 1
    ]
    if not differing:
        return None
    variants = {}
    for (result, task), entry in zip(group, entries, strict=True):
        conditions = tuple((name, entry.get(name)) for name in differing)
        measured, maximum = entry["metrics"][entry["headline"]], result.maximum(task)
        low, high = (
            (side / maximum for side in measured["interval"])
            if measured.get("interval")
            else (None, None)
        )
        mean = measured["mean"] / maximum
        variants[conditions] = Variant(conditions=conditions, mean=mean, low=low, high=high)
    first, task = group[0]
    ordered = sorted(variants.values(), key=lambda one: str(one.conditions))
    return Sensitivity(
        model=first.record["model"]["name"],
        task=task,
        num_samples=entries[0]["num_samples"],
        variants=tuple(ordered),
    )
