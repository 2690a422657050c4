"""From scored answers to the result record: means, intervals, categories, provenance."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any

from etils import epath

import jaxllm
from jaxllm.errors import MissingData
from jaxllm.evaluators.context import EvalContext
from jaxllm.metrics import MissingMetric, Scores, get_metric
from jaxllm.models.decoder import num_params
from jaxllm.reporting.results import write_result
from jaxllm.reporting.statistics import Interval, mean_interval, mean_of
from jaxllm.tasks import Suite, Task, aggregate


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TaskOutcome:
    """What one task's answers scored; `missing` says why a metric has no score."""

    task: Task
    scores: dict[str, Scores]
    missing: dict[str, str]
    records: list[dict[str, Any]]
    data_sha256: str


def score_answers(
    task: Task, predictions: Sequence[str], golds: Sequence[str]
) -> tuple[dict[str, Scores], dict[str, str]]:
    """The scores of a task's metrics, and why some have none."""
    scores, missing = {}, {}
    for metric in task.metrics:
        try:
            scores[metric] = get_metric(metric)(predictions, golds)
        except MissingMetric as error:
            missing[metric] = str(error)
    return scores, missing


def not_asked(task: Task, error: MissingData) -> TaskOutcome:
    """The outcome of a task whose data is not here: every metric missing, for that reason."""
    print(f"not asked: {task.name}: {error}", file=sys.stderr, flush=True)
    missing = dict.fromkeys(task.metrics, str(error))
    return TaskOutcome(task=task, scores={}, missing=missing, records=[], data_sha256="")


def record_outcomes(
    folder: epath.Path,
    suite: Suite | None,
    outcomes: list[TaskOutcome],
    *,
    context: EvalContext | None,
    settings: dict[str, Any],
    step: int | None,
    tokens: int | None,
    timings: dict[str, float] | None = None,
) -> dict[str, float]:
    """Writes the result folder of a run and returns its headline numbers."""
    result = build_result(
        suite, outcomes, context=context, settings=settings, step=step, tokens=tokens
    )
    samples = {outcome.task.name: outcome.records for outcome in outcomes}
    write_result(folder, result, samples, timings=timings)
    return headline_numbers(result)


def timings_since(started: float, num_requests: int) -> dict[str, float]:
    """What timings.json holds, from a `time.monotonic()` and what was asked since."""
    seconds = time.monotonic() - started
    return {
        "seconds": round(seconds, 3),
        "requests_per_s": round(num_requests / seconds, 3),
    }


def build_result(
    suite: Suite | None,
    outcomes: list[TaskOutcome],
    *,
    context: EvalContext | None,
    settings: dict[str, Any],
    step: int | None,
    tokens: int | None,
) -> dict[str, Any]:
    """The contents of result.json: everything that moved a score stands beside it.

    Without a context no model was asked (the majority baseline).
    """
    result: dict[str, Any] = {
        "suite": suite.name if suite else None,
        "split": settings["split"],
        "model": _model_entry(context) if context else {"name": "majority answer"},
        "run": {
            "kind": settings["kind"] or None,
            "step": step,
            "tokens": tokens,
            "workdir": context.source if context else None,
        },
        "config": context.config if context else {},
        "code_version": jaxllm.__version__,
        "decode": {
            name: settings[name] for name in ("temperature", "top_p", "seed") if name in settings
        },
        "blank_inputs": settings.get("blank_inputs", False),
        "tasks": {outcome.task.name: _task_entry(outcome) for outcome in outcomes},
        "categories": {},
        "average": None,
    }
    if suite is not None:
        result |= _averages(suite, outcomes)
    return result


def headline_numbers(result: dict[str, Any]) -> dict[str, float]:
    """Average and categories of a suite, or each task's headline metric without one.

    The average of an incomplete suite is not the suite's, and is called `AVR(present)`.
    """
    average = result["average"]
    if average is not None:
        whole = not (average["missing"] or average["missing_tasks"])
        name = average["name"] if whole else f"{average['name']}(present)"
        numbers = {name: average["mean"]}
        numbers |= {name: entry["mean"] for name, entry in result["categories"].items()}
        return {name: value for name, value in numbers.items() if value is not None}
    numbers = {}
    for name, entry in result["tasks"].items():
        for metric, value in entry["metrics"].items():
            if "mean" in value:
                key = metric if len(result["tasks"]) == 1 else f"{name}/{metric}"
                numbers[key] = value["mean"]
    return numbers


def _model_entry(context: EvalContext) -> dict[str, Any]:
    return {
        "name": context.name,
        "source": context.source,
        "revision": context.revision,
        "num_params": num_params(context.model_config),
        "dtype": context.model_config.dtype,
        "tokenizer_digest": context.tokenizer.digest,
    }


def _task_entry(outcome: TaskOutcome) -> dict[str, Any]:
    task = outcome.task
    metrics: dict[str, Any] = {
        name: {"mean": scores.mean, "interval": _interval_of(scores)}
        for name, scores in outcome.scores.items()
    }
    metrics |= {name: {"missing": reason} for name, reason in outcome.missing.items()}
    pinned = dataclasses.asdict(task)
    return {
        "category": task.category,
        "headline": task.metrics[0],
        "num_samples": len(outcome.records),
        "metrics": metrics,
        "data_sha256": outcome.data_sha256,
        **{
            name: pinned[name]
            for name in ("corpus", "template", "extraction", "max_new_tokens", "num_shots", "bos")
        },
        "unverified": task.unverified or None,
    }


def _interval_of(scores: Scores) -> list[float] | None:
    return _pair(mean_interval(scores.per_sample) if scores.per_sample else None)


def _averages(suite: Suite, outcomes: list[TaskOutcome]) -> dict[str, Any]:
    headlines = {
        outcome.task.name: outcome.scores[outcome.task.metrics[0]]
        for outcome in outcomes
        if outcome.task.metrics[0] in outcome.scores
    }
    means = aggregate(suite, {name: scores.mean for name, scores in headlines.items()})
    intervals: dict[str, Interval | None] = {}
    for category in means.categories:
        samples = [
            headlines[task.name].per_sample
            for task in suite.tasks
            if task.category == category and task.name in headlines
        ]
        intervals[category] = _mean_over([mean_interval(s) if s else None for s in samples])
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
        },
    }


def _mean_over(parts: Sequence[Interval | None]) -> Interval | None:
    # A corpus-level metric has no score per sample, so a mean that holds one has no interval.
    known = [part for part in parts if part is not None]
    return mean_of(known) if known and len(known) == len(parts) else None


def _pair(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None
