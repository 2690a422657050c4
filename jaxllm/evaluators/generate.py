"""Free generation: every task's prompts through the engine, its answers through the metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

from etils import epath

from jaxllm.decode import Completion, Engine, Request
from jaxllm.errors import MissingData, UserError
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.record import (
    TaskOutcome,
    not_asked,
    record_outcomes,
    score_answers,
    timings_since,
)
from jaxllm.metrics import MissingMetric, get_metric
from jaxllm.models.decoder import Params
from jaxllm.observe.progress import Progress
from jaxllm.tasks import Sample, Suite, Task, data_sha256, get_suite, get_task, load_samples
from jaxllm.text.example import Message
from jaxllm.text.extraction import extract
from jaxllm.text.templates import Template, get_template

# What a blanked input holds: the block stands, its content is one ideographic space.
_BLANK = "\u3000"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """Fields of an entry with `type="generate"`.

    `suite` runs all tasks of a suite but those whose data is not here, which are named; `task` one
    (`mini/v1:nli`, `jsonl:PATH`), `tasks` several.
    `num_shots`, `template`, `bos`, `metrics` and `max_new_tokens` replace what the task pins (the
    result file says so); `template="chat"` asks in the model's own chat format.
    `blank_inputs` is the control run: every input is blanked, so only what leaks through the
    instruction can be scored. `kind` labels the run for reports (base, tuned, control, ...).
    """

    suite: str = ""
    task: str = ""
    tasks: tuple[str, ...] = ()
    split: str = "test"
    max_samples: int = 100
    num_shots: int = -1
    template: str = ""
    bos: str = ""
    metrics: tuple[str, ...] = ()
    max_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    blank_inputs: bool = False
    kind: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A task with its questions and their prompts, ready for the engine."""

    task: Task
    samples: list[Sample]
    requests: list[Request]
    data_sha256: str


class GenerateEvaluator:
    """Runs tasks or a suite; prompts are built once, weights come with each call."""

    Settings = GenerateSettings

    def __init__(self, settings: GenerateSettings, context: EvalContext) -> None:
        self.settings, self.context = settings, context
        self.suite, tasks = _resolve(settings)
        self._asked: list[_Asked] = []
        self._not_asked: list[TaskOutcome] = []
        for task in tasks:
            try:
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
        started = time.monotonic()
        requests = [request for asked in self._asked for request in asked.requests]
        engine = Engine(
            params, self.context.model_config, self.context.tokenizer, mesh=self.context.mesh
        )
        with Progress("evaluating", total=len(requests), unit="requests") as bar:
            completions = iter(engine.generate(requests, progress=bar.update))
        outcomes = [
            self._score(asked, [next(completions) for _ in asked.requests]) for asked in self._asked
        ]
        return record_outcomes(
            folder,
            self.suite,
            [*outcomes, *self._not_asked],
            context=self.context,
            settings=dataclasses.asdict(self.settings),
            step=step,
            tokens=tokens,
            timings=timings_since(started, len(requests)),
        )

    def _prepare(self, task: Task) -> _Asked:
        settings, tokenizer = self.settings, self.context.tokenizer
        samples = load_samples(
            task,
            split=settings.split,
            data_dir=self.context.data_dir,
            max_samples=settings.max_samples,
        )
        for metric in task.metrics:
            # An unknown one must not be found out after hours of answers.
            with contextlib.suppress(MissingMetric):
                get_metric(metric)
        if not samples:
            raise UserError(f"{task.name} has no sample in split {settings.split!r}")
        template = get_template(task.template, tokenizer)
        requests = [
            Request(
                id=f"{task.name}/{sample.id}",
                prompt_ids=tuple(int(t) for t in self._prompt_ids(template, task, sample)),
                max_new_tokens=task.max_new_tokens,
                stop=task.stop,
                stop_ids=template.stop_ids(tokenizer),
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=settings.seed,
            )
            for sample in samples
        ]
        digest = data_sha256(task, split=settings.split, data_dir=self.context.data_dir)
        return _Asked(task=task, samples=samples, requests=requests, data_sha256=digest)

    def _prompt_ids(self, template: Template, task: Task, sample: Sample) -> Any:
        messages = sample.messages
        if self.settings.blank_inputs:
            messages = (*messages[:-1], _blanked(messages[-1]))
        return template.prompt_ids(self.context.tokenizer, messages, bos=task.bos)

    def _score(self, asked: _Asked, completions: list[Completion]) -> TaskOutcome:
        task, tokenizer = asked.task, self.context.tokenizer
        predictions = [extract(task.extraction, completion.text) for completion in completions]
        golds = [sample.gold for sample in asked.samples]
        scores, missing = score_answers(task, predictions, golds)
        records = [
            {
                "id": sample.id,
                "prompt": tokenizer.decode(list(request.prompt_ids), skip_special=False),
                "output": completion.text,
                "prediction": prediction,
                "gold": sample.gold,
                "scores": {
                    name: result.per_sample[index]
                    for name, result in scores.items()
                    if result.per_sample is not None
                },
                "finish_reason": completion.finish_reason,
                "num_prompt_tokens": len(request.prompt_ids),
                "num_tokens": len(completion.token_ids),
            }
            for index, (sample, request, completion, prediction) in enumerate(
                zip(asked.samples, asked.requests, completions, predictions, strict=True)
            )
        ]
        return TaskOutcome(
            task=task,
            scores=scores,
            missing=missing,
            records=records,
            data_sha256=asked.data_sha256,
        )


def _resolve(settings: GenerateSettings) -> tuple[Suite | None, list[Task]]:
    if bool(settings.suite) + bool(settings.task) + bool(settings.tasks) != 1:
        raise UserError("an evaluator of type 'generate' needs one of suite, task and tasks")
    changes: dict[str, Any] = {
        name: getattr(settings, name) for name in ("template", "bos") if getattr(settings, name)
    }
    if settings.metrics:
        changes["metrics"] = tuple(settings.metrics)
    if settings.max_new_tokens > 0:
        changes["max_new_tokens"] = settings.max_new_tokens
    if settings.num_shots >= 0:
        changes["num_shots"] = settings.num_shots
    if settings.suite:
        suite = get_suite(settings.suite)
        return suite, [dataclasses.replace(task, **changes) for task in suite.tasks]
    names = settings.tasks or (settings.task,)
    return None, [get_task(name, **changes) for name in names]


def _blanked(message: Message) -> Message:
    if message.context:
        return dataclasses.replace(message, context=_BLANK)
    return dataclasses.replace(message, content=_BLANK)
