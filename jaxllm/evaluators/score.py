"""Likelihoods: how probable the model finds right answers, and which of given ones it prefers."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Iterator
from typing import Any

from etils import epath

from jaxllm.decode import Score, ScoreRequest
from jaxllm.errors import UserError
from jaxllm.evaluators.ask import Answers, ask_likelihoods, question_record
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.outcome import TaskOutcome
from jaxllm.evaluators.record import model_entry, record_outcomes
from jaxllm.metrics import Scores
from jaxllm.models.decoder import Params
from jaxllm.parallel.agreement import first_process_first, from_first_process
from jaxllm.tasks import Sample, Task, data_sha256, get_task, load_samples
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template

_CHOICE, _PROBABILITY, _GREEDY = "choice_accuracy", "answer_probability", "is_greedy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Fields of an entry with `type="score"`.

    `tasks` names what is asked (`llm-jp-eval/v1.3.1:jcommonsenseqa`, `jsonl:PATH`). With `choices`
    every one of them is scored behind every prompt and the most likely is the model's answer
    (`choice_accuracy`). Always measured: the probability of the right answer, as the geometric mean
    over its tokens (`answer_probability`), and whether greedy decoding would give it (`is_greedy`).
    The end that training puts behind an answer belongs to it, so that "1" does not gain from "10".
    `num_shots`, `template` and `bos` replace what a task pins, `kind` labels the run for reports.
    """

    tasks: tuple[str, ...]
    choices: tuple[str, ...] = ()
    split: str = "test"
    max_samples: int = 100
    num_shots: int = -1
    template: str = ""
    bos: str = ""
    kind: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A task's questions, the answers scored behind each, and their requests in that order."""

    task: Task
    samples: list[Sample]
    answers: list[tuple[str, ...]]
    requests: list[ScoreRequest]
    data_sha256: str


class ScoreEvaluator:
    """Scores given answers; requests are built once, weights come with each call."""

    Settings = ScoreSettings

    def __init__(self, settings: ScoreSettings, context: EvalContext) -> None:
        if not settings.tasks:
            raise UserError("an evaluator of type 'score' needs tasks")
        self.settings, self.context = settings, context
        metrics = (_CHOICE, _PROBABILITY, _GREEDY) if settings.choices else (_PROBABILITY, _GREEDY)
        changes: dict[str, Any] = {"metrics": metrics}
        changes |= {
            name: getattr(settings, name) for name in ("template", "bos") if getattr(settings, name)
        }
        if settings.num_shots >= 0:
            changes["num_shots"] = settings.num_shots
        self._asked = [self._prepare(get_task(name, **changes)) for name in settings.tasks]

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """Scores, writes the result folder and returns the headline numbers."""
        requests = [request for asked in self._asked for request in asked.requests]
        given = ask_likelihoods(requests, params, self.context, folder)
        record = functools.partial(self._record, given, folder=folder, step=step, tokens=tokens)
        return from_first_process(record)

    def _record(
        self, given: Answers[Score], *, folder: epath.Path, step: int | None, tokens: int | None
    ) -> dict[str, float]:
        scores = iter(given.answers)
        outcomes = [self._outcome(asked, scores) for asked in self._asked]
        return record_outcomes(
            folder,
            None,
            outcomes,
            model=model_entry(self.context, given.weights),
            config=self.context.config,
            settings=dataclasses.asdict(self.settings),
            step=step,
            tokens=tokens,
            timings=given.timings,
        )

    def _prepare(self, task: Task) -> _Asked:
        settings, data_dir = self.settings, self.context.data_dir
        asked: dict[str, Any] = {"split": settings.split, "data_dir": data_dir}
        with first_process_first():
            samples = load_samples(task, max_samples=settings.max_samples, **asked)
        if not samples:
            raise UserError(f"{task.name} has no sample in split {settings.split!r}")
        answers = [settings.choices or (sample.gold,) for sample in samples]
        for sample in samples:
            if settings.choices and sample.gold not in settings.choices:
                raise UserError(
                    f"{task.name}: the right answer of sample {sample.id}, {sample.gold!r}, is not "
                    f"among the choices {', '.join(settings.choices)}"
                )
        return _Asked(
            task=task,
            samples=samples,
            answers=answers,
            requests=[
                request
                for sample, given in zip(samples, answers, strict=True)
                for request in self._requests(task, sample, given)
            ],
            data_sha256=data_sha256(task, **asked),
        )

    def _requests(
        self, task: Task, sample: Sample, answers: tuple[str, ...]
    ) -> Iterator[ScoreRequest]:
        tokenizer = self.context.tokenizer
        template = get_template(task.template, tokenizer)
        prompt = template.prompt_ids(tokenizer, sample.messages, bos=task.bos).tolist()
        for answer in answers:
            turns = (*sample.messages, Message(role="assistant", content=answer))
            ids = template.render(tokenizer, turns, bos=task.bos).ids.tolist()
            yield ScoreRequest(
                id=f"{task.name}/{sample.id}/{answer}",
                prompt_ids=tuple(prompt),
                continuation_ids=tuple(ids[len(prompt) :]),
            )

    def _outcome(self, asked: _Asked, scores: Iterator[Score]) -> TaskOutcome:
        tokenizer = self.context.tokenizer
        requests = iter(asked.requests)
        records: list[dict[str, Any]] = []
        for sample, answers in zip(asked.samples, asked.answers, strict=True):
            found = {answer: next(scores) for answer in answers}
            prompt, *_ = [next(requests).prompt_ids for _ in answers]
            gold = found[sample.gold]
            best = max(answers, key=lambda answer: found[answer].logprob)
            values = {
                _CHOICE: float(best == sample.gold),
                _PROBABILITY: math.exp(gold.logprob / gold.num_tokens),
                _GREEDY: float(gold.is_greedy),
            }
            records.append(
                {
                    **question_record(tokenizer, sample, prompt),
                    "output": best,
                    "prediction": best,
                    "scores": {name: values[name] for name in asked.task.metrics},
                    "logprobs": {answer: found[answer].logprob for answer in answers},
                    "num_tokens": gold.num_tokens,
                }
            )
        by_metric = {
            name: tuple(record["scores"][name] for record in records) for name in asked.task.metrics
        }
        return TaskOutcome(
            task=asked.task,
            scores={
                name: Scores(mean=statistics.fmean(values), per_sample=values)
                for name, values in by_metric.items()
            },
            missing={},
            records=records,
            data_sha256=asked.data_sha256,
        )
