"""What an entry with `type="judge"` may say, and the benchmark that it comes to."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxllm.errors import UserError
from jaxllm.evaluators.chat_models import read_chat_group
from jaxllm.judging.benchmark import Benchmark, Question
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.parsers import ExpectedScore
from jaxllm.judging.presets import with_preset
from jaxllm.judging.prompts import check
from jaxllm.judging.questions import read_prompt, read_questions


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Fields of an entry with `type="judge"`.

    `benchmark` is a name or the path of one's own; `judge` a group of settings: `type="api"` with
    `model`, `base_url` and the other fields of `jaxllm.chat.endpoint`, `type="local"` with `model`,
    or `type="scripted"`. `preset` runs the benchmark as another tool does.
    Of the questions `max_samples` are asked and `max_judged` judged (-1: all), spread evenly; each
    is answered `num_samples` times and each answer judged `votes` times. `expected_scores` takes
    the likelihood-weighted mean over the scores of a local judge in place of what it writes.
    `system`, `max_new_tokens`, `judge_temperature` and `judge_max_tokens` replace what the
    benchmark says where they are set; `template` writes down the model's conversations; `raw_dir`
    is where data lies that was downloaded by hand; `kind` labels the run for reports.
    """

    benchmark: str
    judge: dict[str, Any]
    preset: str = ""
    max_samples: int = -1
    max_judged: int = -1
    num_samples: int = 1
    votes: int = 1
    expected_scores: bool = False
    system: str = ""
    max_new_tokens: int = 0
    judge_temperature: float = -1.0
    judge_max_tokens: int = 0
    template: str = "chat"
    raw_dir: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise UserError(f"num_samples={self.num_samples}: a question is answered at least once")
        if 0 in (self.max_samples, self.max_judged):
            raise UserError("max_samples and max_judged: at least one question, or -1 for all")
        try:
            read_chat_group(self.judge)
        except UserError as error:
            raise UserError(f"judge: {error}") from error
        self.resolve()

    def resolve(self) -> Benchmark:
        """The benchmark with what the settings replace.

        Raises:
            UserError: there is none of that name, or the preset does not know it.
        """
        benchmark = with_preset(get_benchmark(self.benchmark), self.preset)
        judge, answers = benchmark.judge, benchmark.answers
        if self.judge_temperature >= 0:
            judge = dataclasses.replace(judge, temperature=self.judge_temperature)
        if self.judge_max_tokens:
            judge = dataclasses.replace(judge, max_tokens=self.judge_max_tokens)
        if self.max_new_tokens:
            answers = dataclasses.replace(answers, max_tokens=self.max_new_tokens)
        rubrics = benchmark.rubrics
        if self.expected_scores:
            if any(len(rubric.scales) > 1 for rubric in rubrics):
                raise UserError(
                    f"expected_scores: a rubric of {benchmark.name} gives several scores at once"
                )
            rubrics = tuple(
                dataclasses.replace(rubric, parser=ExpectedScore()) for rubric in rubrics
            )
        return dataclasses.replace(
            benchmark,
            judge=judge,
            answers=answers,
            rubrics=rubrics,
            system=self.system or benchmark.system,
        )

    def load(self, data_dir: str) -> tuple[Benchmark, list[Question], str]:
        """The benchmark, its questions and the digest of their data; every prompt can be filled.

        Raises:
            MissingData: the data is not here.
            UserError: it is damaged, or does not fit the prompts.
        """
        benchmark = self.resolve()
        raw_dir = self.raw_dir or None
        questions, digest = read_questions(
            benchmark, raw_dir=raw_dir, data_dir=data_dir, max_questions=self.max_samples
        )
        if benchmark.prompt_file is not None:
            prompt = read_prompt(benchmark, raw_dir=raw_dir, data_dir=data_dir)
            benchmark = dataclasses.replace(
                benchmark,
                rubrics=tuple(
                    dataclasses.replace(rubric, prompt=rubric.prompt or prompt)
                    for rubric in benchmark.rubrics
                ),
            )
        check(benchmark, questions)
        return benchmark, questions, digest
