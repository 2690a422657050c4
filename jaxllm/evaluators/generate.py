"""Free generation: every task's prompts through the engine, its answers through the metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence

from etils import epath

from jaxllm.decode import Completion, Request
from jaxllm.decode.requests import resampled
from jaxllm.errors import MissingData, UserError
from jaxllm.evaluators.ask import Answers, ask_completions, question_record
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.generate_settings import GenerateSettings, resolve_tasks
from jaxllm.evaluators.outcome import TaskOutcome, answered_outcome, not_asked
from jaxllm.evaluators.questions import task_requests
from jaxllm.evaluators.record import model_entry, record_outcomes
from jaxllm.metrics import MissingMetric, get_metric
from jaxllm.models.decoder import Params
from jaxllm.parallel.agreement import first_process_first, from_first_process
from jaxllm.tasks import Sample, Task, data_sha256, load_samples
from jaxllm.tasks.registry import JSONL_PREFIX
from jaxllm.text.extraction import extract


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A task with its questions and their prompts, ready for the engine."""

    task: Task
    samples: list[Sample]
    requests: list[Request]
    data_sha256: str
    shots_sha256: str | None


class GenerateEvaluator:
    """Runs tasks or a suite; prompts are built once, weights come with each call."""

    Settings = GenerateSettings

    def __init__(self, settings: GenerateSettings, context: EvalContext) -> None:
        self.settings, self.context = settings, context
        self.suite, tasks = resolve_tasks(settings)
        self._asked: list[_Asked] = []
        self._not_asked: list[TaskOutcome] = []
        for task in tasks:
            try:
                with first_process_first():
                    self._asked.append(self._prepare(task))
            except MissingData as error:
                if self.suite is None:
                    raise
                self._not_asked.append(not_asked(task, error))
        if not self._asked:
            raise UserError(f"{settings.suite}: the data of none of its tasks is here")

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """Generates, scores, writes the result folder and returns the headline numbers."""
        runs = range(self.settings.num_runs)
        requests = [
            request
            for asked in self._asked
            for run in runs
            for request in self._of_run(asked.requests, run)
        ]
        given = ask_completions(requests, params, self.context, folder)
        record = functools.partial(self._record, given, folder=folder, step=step, tokens=tokens)
        return from_first_process(record)

    def _record(
        self,
        given: Answers[Completion],
        *,
        folder: epath.Path,
        step: int | None,
        tokens: int | None,
    ) -> dict[str, float]:
        runs = range(self.settings.num_runs)
        answers = iter(given.answers)
        outcomes = [
            self._outcome(asked, [[next(answers) for _ in asked.requests] for _ in runs])
            for asked in self._asked
        ]
        return record_outcomes(
            folder,
            self.suite,
            [*outcomes, *self._not_asked],
            model=model_entry(self.context, given.weights),
            config=self.context.config,
            settings=dataclasses.asdict(self.settings),
            step=step,
            tokens=tokens,
            timings=given.timings,
        )

    def _prepare(self, task: Task) -> _Asked:
        settings, tokenizer = self.settings, self.context.tokenizer
        samples = load_samples(
            task,
            split=settings.split,
            data_dir=self.context.data_dir,
            max_samples=settings.max_samples,
        )
        # What is unknown must not be found out after hours of answers.
        extract(task.extraction, "")
        for metric in task.metrics:
            with contextlib.suppress(MissingMetric):
                get_metric(metric)
        if not samples:
            raise UserError(f"{task.name} has no sample in split {settings.split!r}")
        return _Asked(
            task=task,
            samples=samples,
            requests=task_requests(task, samples, tokenizer, settings),
            data_sha256=data_sha256(task, split=settings.split, data_dir=self.context.data_dir),
            shots_sha256=self._shots_sha256(task),
        )

    def _shots_sha256(self, task: Task) -> str | None:
        if not task.num_shots or task.corpus.startswith(JSONL_PREFIX):
            return None  # a file's shots are in the digest of its questions
        return data_sha256(task, split="train", data_dir=self.context.data_dir)

    def _of_run(self, requests: Sequence[Request], run: int) -> Sequence[Request]:
        """The requests with the seed of one run; the first has the seed of the settings."""
        if run == 0:
            return requests
        return [
            dataclasses.replace(resampled(request, run), id=f"{request.id}#{run}")
            for request in requests
        ]

    def _outcome(self, asked: _Asked, runs: Sequence[Sequence[Completion]]) -> TaskOutcome:
        questions = [
            question_record(self.context.tokenizer, sample, request.prompt_ids)
            for sample, request in zip(asked.samples, asked.requests, strict=True)
        ]
        answers = [
            [
                {
                    "output": completion.text,
                    "finish_reason": completion.finish_reason,
                    "num_tokens": len(completion.token_ids),
                }
                for completion in completions
            ]
            for completions in runs
        ]
        return answered_outcome(
            asked.task,
            questions,
            answers,
            data_sha256=asked.data_sha256,
            shots_sha256=asked.shots_sha256,
        )
