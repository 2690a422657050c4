"""From scored answers to the result record: means, intervals, categories, provenance."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

from etils import epath

import jaxllm
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.outcome import TaskOutcome
from jaxllm.models.decoder import num_params
from jaxllm.reporting.averages import measured, suite_averages
from jaxllm.reporting.results import write_result
from jaxllm.tasks import Suite
from jaxllm.weights.lineage import lineage_of

# What of a task moves its score and is not said elsewhere in the result.
_ASKED_WITH = (
    "corpus",
    "instruction",
    "template",
    "extraction",
    "max_new_tokens",
    "stop",
    "num_shots",
    "shot_seed",
    "labels",
    "bos",
)


def record_outcomes(
    folder: epath.Path,
    suite: Suite | None,
    outcomes: list[TaskOutcome],
    *,
    model: Mapping[str, Any],
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    step: int | None = None,
    tokens: int | None = None,
    timings: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Writes the result folder of a run and returns its headline numbers."""
    result = build_result(
        suite,
        outcomes,
        model=model,
        config=config,
        settings=settings,
        step=step,
        tokens=tokens,
    )
    samples = {outcome.task.name: outcome.records for outcome in outcomes}
    write_result(folder, result, samples, timings=timings)
    return headline_numbers(result)


def build_result(
    suite: Suite | None,
    outcomes: list[TaskOutcome],
    *,
    model: Mapping[str, Any],
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    step: int | None,
    tokens: int | None,
) -> dict[str, Any]:
    """The contents of result.json: everything that moved a score stands beside it.

    Args:
      model: `model_entry`, or at least the name of what answered.
      config: the resolved config of the run.
      settings: of the evaluator; those that it lacks are left out.
    """
    decode = ("temperature", "top_p", "seed", "num_runs")
    result: dict[str, Any] = {
        "suite": suite.name if suite else None,
        "split": settings["split"],
        "max_samples": settings["max_samples"],
        "model": dict(model),
        "run": {
            "kind": settings["kind"] or None,
            "step": step,
            "tokens": tokens,
            "workdir": model.get("source"),
        },
        "config": config,
        "code_version": jaxllm.__version__,
        "decode": {name: settings[name] for name in decode if name in settings},
        "blank_inputs": settings.get("blank_inputs", False),
        "tasks": {outcome.task.name: _task_entry(outcome) for outcome in outcomes},
        "categories": {},
        "average": None,
    }
    if suite is not None:
        headlines = {
            outcome.task.name: outcome.scores[outcome.task.metrics[0]]
            for outcome in outcomes
            if outcome.task.metrics[0] in outcome.scores
        }
        result |= suite_averages(suite, headlines)
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


def model_entry(context: EvalContext, weights: str) -> dict[str, Any]:
    """What result.json says of the model; `weights` is the digest of its weights."""
    entry: dict[str, Any] = {
        "name": context.name,
        "source": context.source,
        "revision": context.revision,
    }
    if context.endpoint is not None:
        return {**entry, "num_params": None, **context.endpoint.provenance}
    return {
        **entry,
        "num_params": num_params(context.architecture),
        "dtype": context.architecture.dtype,
        "param_dtype": context.architecture.param_dtype,
        "weights_digest": weights,
        "tokenizer_digest": context.tokenizer.digest,
        "lineage": lineage_of(context.source),
    }


def _task_entry(outcome: TaskOutcome) -> dict[str, Any]:
    task = outcome.task
    metrics: dict[str, Any] = {name: measured(scores) for name, scores in outcome.scores.items()}
    for name, means in outcome.run_means.items():
        metrics[name] |= {"runs": list(means), "spread": statistics.stdev(means)}
    metrics |= {name: {"missing": reason} for name, reason in outcome.missing.items()}
    pinned = dataclasses.asdict(task)
    return {
        "category": task.category,
        "headline": task.metrics[0],
        "num_samples": len(outcome.records),
        "metrics": metrics,
        "data_sha256": outcome.data_sha256,
        "shots_sha256": outcome.shots_sha256,
        **{name: pinned[name] for name in _ASKED_WITH},
        "unverified": task.unverified or None,
        **outcome.facts,
    }
