"""Outputs made elsewhere, scored as ours are: the suite's extraction and metrics, and no model."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxllm.errors import MissingData, UserError
from jaxllm.evaluators.generate_settings import GenerateSettings, resolve_tasks
from jaxllm.evaluators.outcome import TaskOutcome, answered_outcome, not_asked
from jaxllm.evaluators.record import record_outcomes
from jaxllm.reporting.llm_jp_eval_outputs import ForeignAnswer, ForeignDataset, ForeignRun
from jaxllm.reporting.llm_jp_eval_results import dataset_name
from jaxllm.tasks import Sample, Task, data_sha256, load_samples


def score_foreign_run(
    settings: GenerateSettings,
    run: ForeignRun,
    *,
    data_dir: str | os.PathLike[str],
    config: Mapping[str, Any],
    folder: epath.Path,
) -> dict[str, float]:
    """Scores a run's outputs, writes the result folder and returns the headline numbers.

    Of each dataset the first `max_samples` answers count. Where the questions are those of the
    corpus as it is prepared here, samples get its ids and the result its digest, so that it
    compares with ours sample by sample; what the files do not tell (template, BOS) is null.

    Raises:
        UserError: the run has none of the settings' tasks.
    """
    suite, tasks = resolve_tasks(settings)
    outcomes, left = [], dict(run.datasets)
    for task in tasks:
        name = dataset_name(dataclasses.asdict(task))
        if name in left:
            outcomes.append(_outcome(task, left.pop(name), settings, data_dir))
        elif suite is None:
            raise UserError(
                f"{run.source} has no outputs of {name}; it has {', '.join(run.datasets)}"
            )
        else:
            outcomes.append(not_asked(task, MissingData(f"{run.source} has no outputs of {name}")))
    if len(left) == len(run.datasets):
        raise UserError(
            f"{run.source} has outputs of {', '.join(left)}, and none of those is in "
            f"{settings.suite}"
        )
    if left:
        print(f"left out, for no task asks it: {', '.join(left)}", file=sys.stderr)
    model = {"name": run.model, "source": str(run.source), "outputs_sha256": run.sha256}
    asked = {"split": settings.split, "max_samples": settings.max_samples, "kind": settings.kind}
    return record_outcomes(folder, suite, outcomes, model=model, config=config, settings=asked)


def _outcome(
    task: Task,
    dataset: ForeignDataset,
    settings: GenerateSettings,
    data_dir: str | os.PathLike[str],
) -> TaskOutcome:
    if dataset.num_shots is not None:
        task = dataclasses.replace(task, num_shots=dataset.num_shots)
    answers = dataset.answers
    if settings.max_samples >= 0:
        answers = answers[: settings.max_samples]
    ids = _own_ids(task, answers, settings.split, data_dir)
    digest = ""
    if ids is None:
        print(
            f"{task.name}: the questions are not those of {task.corpus} as it is prepared here, so "
            "they are scored but not compared sample by sample",
            file=sys.stderr,
        )
        ids = [str(index) for index in range(len(answers))]
    else:
        digest = data_sha256(task, split=settings.split, data_dir=data_dir)
    unknown = dict.fromkeys(("template", "instruction", "stop", "bos", "shot_seed"))
    return answered_outcome(
        task,
        [
            {"id": id, "prompt": answer.prompt, "input": answer.input, "gold": answer.gold}
            for id, answer in zip(ids, answers, strict=True)
        ],
        [[{"output": answer.output} for answer in answers]],
        data_sha256=digest,
        facts={**unknown, "max_new_tokens": dataset.max_new_tokens},
    )


def _own_ids(
    task: Task, answers: tuple[ForeignAnswer, ...], split: str, data_dir: str | os.PathLike[str]
) -> list[str] | None:
    """The ids of the samples here that have these questions and golds; None unless all do."""
    try:
        samples = load_samples(task, split=split, data_dir=data_dir, num_shots=0)
    except UserError:
        return None  # the corpus is not prepared here, or lacks the split
    waiting: dict[tuple[str, str], list[Sample]] = {}
    for sample in reversed(samples):
        waiting.setdefault((sample.input, sample.gold), []).append(sample)
    ids = []
    for answer in answers:
        same = waiting.get((answer.input, answer.gold))
        if not same:
            return None
        ids.append(same.pop().id)
    return ids
