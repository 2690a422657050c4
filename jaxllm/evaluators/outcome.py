"""What the answers to one task come to: each extracted and scored, and why a score is missing."""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.errors import MissingData, UserError
from jaxllm.metrics import Scores, get_metric
from jaxllm.tasks import Task
from jaxllm.text.extraction import extract


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TaskOutcome:
    """What one task's answers scored; `missing` says why a metric has no score.

    `run_means` has the mean of each run where questions were asked more than once, `facts` what
    stands in the task's entry in place of what the task says (outputs made elsewhere know less).
    """

    task: Task
    scores: dict[str, Scores]
    missing: dict[str, str]
    records: list[dict[str, Any]]
    data_sha256: str
    shots_sha256: str | None = None
    run_means: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def score_answers(
    task: Task, predictions: Sequence[str], golds: Sequence[str], inputs: Sequence[str]
) -> tuple[dict[str, Scores], dict[str, str]]:
    """The scores of a task's metrics, and why some have none.

    `inputs` are what the samples ask of: of a translation, the text that was translated. A metric
    that fails takes nothing with it: hours of answers and the other metrics stand.
    """
    scores, missing = {}, {}
    for metric in task.metrics:
        try:
            found = get_metric(metric)(
                predictions, golds, sources=inputs, labels=task.labels or None
            )
        except UserError as error:
            missing[metric] = str(error)
        except Exception as error:
            missing[metric] = f"it failed: {type(error).__name__}: {error}"
        else:
            if math.isfinite(found.mean):
                scores[metric] = found
            else:
                missing[metric] = f"it came to {found.mean}, which is no score"
        if metric in missing:
            print(f"not scored: {task.name}, {metric}: {missing[metric]}", file=sys.stderr)
    return scores, missing


def answered_outcome(
    task: Task,
    questions: Sequence[Mapping[str, Any]],
    runs: Sequence[Sequence[Mapping[str, Any]]],
    **provenance: Any,
) -> TaskOutcome:
    """Extracts and scores a task's outputs.

    Args:
      questions: what a sample's record says of its question; `gold` is what it is scored by.
      runs: for each time the questions were asked, the answers in their order: `output` and what
        else the record says of it.
      provenance: the other fields of TaskOutcome.
    """
    golds = [question["gold"] for question in questions]
    inputs = [question["input"] for question in questions]
    scored_runs, answers_by_run = [], []
    missing: dict[str, str] = {}
    for run in runs:
        predictions = [extract(task.extraction, answer["output"]) for answer in run]
        scores, absent = score_answers(task, predictions, golds, inputs)
        scored_runs.append(scores)
        missing |= absent
        answers_by_run.append(
            [
                {**answer, "prediction": predictions[index], "scores": of_sample(scores, index)}
                for index, answer in enumerate(run)
            ]
        )
    by_metric = {
        name: [scores[name] for scores in scored_runs]
        for name in task.metrics
        if name not in missing
    }
    means = {name: _mean_of_runs(scores) for name, scores in by_metric.items()}
    records = []
    for index, question in enumerate(questions):
        answers = [run[index] for run in answers_by_run]
        record = {**question, **answers[0], "scores": of_sample(means, index)}
        records.append(record | ({"runs": answers} if len(answers) > 1 else {}))
    run_means = {
        name: tuple(run.mean for run in scores)
        for name, scores in by_metric.items()
        if len(scores) > 1
    }
    return TaskOutcome(
        task=task, scores=means, missing=missing, records=records, run_means=run_means, **provenance
    )


def of_sample(scores: Mapping[str, Scores], index: int) -> dict[str, float]:
    """The scores of one sample; a metric without scores per sample is left out."""
    return {
        name: found.per_sample[index]
        for name, found in scores.items()
        if found.per_sample is not None
    }


def _mean_of_runs(runs: Sequence[Scores]) -> Scores:
    by_sample = [run.per_sample for run in runs if run.per_sample is not None]
    return dataclasses.replace(
        runs[0],
        mean=statistics.fmean(run.mean for run in runs),
        per_sample=tuple(map(statistics.fmean, zip(*by_sample, strict=True)))
        if len(by_sample) == len(runs)
        else None,
    )


def not_asked(task: Task, error: MissingData) -> TaskOutcome:
    """The outcome of a task whose data is not here: every metric missing, for that reason."""
    print(f"not asked: {task.name}: {error}", file=sys.stderr, flush=True)
    missing = dict.fromkeys(task.metrics, str(error))
    return TaskOutcome(task=task, scores={}, missing=missing, records=[], data_sha256="")
