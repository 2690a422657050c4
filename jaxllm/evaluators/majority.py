"""The floor under a score: the commonest training answer given to every question."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from etils import epath

from jaxllm.errors import MissingData
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.outcome import TaskOutcome, not_asked, of_sample, score_answers
from jaxllm.evaluators.record import record_outcomes
from jaxllm.models.decoder import Params
from jaxllm.parallel.agreement import from_first_process
from jaxllm.tasks import Task, data_sha256, get_suite, load_samples, majority_baseline


@dataclasses.dataclass(frozen=True, kw_only=True)
class MajoritySettings:
    """Fields of an entry with `type="majority"`; as for `generate`."""

    suite: str
    split: str = "test"
    max_samples: int = 100


class MajorityEvaluator:
    """Scores a constant answer on every task of a suite; the model is not asked."""

    Settings = MajoritySettings

    def __init__(self, settings: MajoritySettings, context: EvalContext) -> None:
        self.settings, self.context = settings, context
        self.suite = get_suite(settings.suite)

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """Writes the baseline as a result folder of its own, so that tables can hold it."""
        del params, step, tokens
        return from_first_process(functools.partial(self._record, folder))

    def _record(self, folder: epath.Path) -> dict[str, float]:
        outcomes = []
        for task in self.suite.tasks:
            try:
                outcomes.append(self._outcome(task))
            except MissingData as error:
                outcomes.append(not_asked(task, error))
        return record_outcomes(
            folder,
            self.suite,
            outcomes,
            model={"name": "majority answer"},
            config=self.context.config,
            settings=dataclasses.asdict(self.settings) | {"kind": "majority"},
        )

    def _outcome(self, task: Task) -> TaskOutcome:
        settings, data_dir = self.settings, self.context.data_dir
        asked: dict[str, Any] = {
            "split": settings.split,
            "data_dir": data_dir,
            "max_samples": settings.max_samples,
        }
        samples = load_samples(task, num_shots=0, **asked)
        baseline = majority_baseline(task, **asked)
        golds = [sample.gold for sample in samples]
        inputs = [sample.input for sample in samples]
        scores, missing = score_answers(task, baseline.predictions, golds, inputs)
        records = [
            {
                "id": sample.id,
                "prompt": sample.input,
                "input": sample.input,
                "output": baseline.answer,
                "prediction": baseline.answer,
                "gold": sample.gold,
                "scores": of_sample(scores, index),
            }
            for index, sample in enumerate(samples)
        ]
        return TaskOutcome(
            task=task,
            scores=scores,
            missing=missing,
            records=records,
            data_sha256=data_sha256(task, split=settings.split, data_dir=data_dir),
        )
