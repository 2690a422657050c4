"""The values of this room: questions, how they are asked, by what they are judged and summed up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from jaxllm.corpora.raw import RawFile
from jaxllm.judging.parsers import Parser


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What a model is asked, turn by turn; `references` has the answer to each turn, or is empty.

    `fields` are the other fields of its record, for prompts that want them.
    """

    id: str
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How an answer or a judgment is written.

    `temperatures` replaces the temperature by category of question.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    temperatures: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def temperature_of(self, category: str) -> float:
        """The temperature for a question of this category."""
        return self.temperatures.get(category, self.temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rubric:
    """One thing a judge is asked about an answer.

    Attributes:
      name: stands in judgment files, as FastChat's `single-v1`.
      prompt: the judge's prompt; `{question}` and its like are filled in, or with `jinja` the
        template is Jinja's. Which names there are says `jaxllm.judging.prompts`.
      turn: which turn is judged, from 1; earlier ones are context.
      with_reference: asked of questions with a reference only (True), of the others only (False),
        or of all (None).
      scales: the lowest and the highest value of each score it gives, the lowest being the worst.
    """

    name: str
    prompt: str
    scales: Mapping[str, tuple[float, float]]
    parser: Parser
    system: str = ""
    turn: int = 1
    with_reference: bool | None = None
    jinja: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A number over all answers: the mean of a score, or the share of it below or above a bound.

    `below` counts what is bad (a missing score is the worst case when it counts), `above` what is
    good. `label` is the name llm-jp-judge prints it under.
    """

    name: str
    score: str
    kind: Literal["mean", "below", "above"] = "mean"
    bound: float = 0.0
    label: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A set of questions with everything that moves its scores besides model and judge.

    Attributes:
      questions, references: where they are read; `inline` holds the questions of a file that brings
        its own.
      prompt_file: where the rubric's prompt comes with the data, this file.
      reference_categories: references are shown for these categories alone; empty is for all.
      system: the system message that stands before the questions; empty is none.
      pairs: how two answers are compared; a rubric's one score is 1 where the first is better, 0
        where the second is, 0.5 for a tie.
      metrics: the first is the headline.
      retries: how often a judgment without a readable score is asked for again.
      category_field: the field of a question's record that says its category.
      by_category: whether categories have means of their own.
      first_sample_only: of several answers to a question the first alone is judged.
      judges_nothing: an answer that does not exist is judged as the text "None".
      lists_as_python: texts reach the judge as Python prints a list of them.
      failed_call_scores, empty_answer_scores: scores given where the judge could not be asked, and
        where there is no answer to judge.
      preset: whose behaviour this is; empty is our own.
    """

    name: str
    questions: RawFile | None
    references: RawFile | None = None
    prompt_file: RawFile | None = None
    inline: tuple[Mapping[str, Any], ...] = ()
    reference_categories: tuple[str, ...] = ()
    system: str = ""
    answers: Sampling
    judge: Sampling
    rubrics: tuple[Rubric, ...]
    metrics: tuple[Metric, ...]
    pairs: tuple[Rubric, ...] = ()
    retries: int = 2
    category_field: str = "category"
    by_category: bool = False
    first_sample_only: bool = False
    judges_nothing: bool = False
    lists_as_python: bool = False
    failed_call_scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    empty_answer_scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    preset: str = ""

    @property
    def scales(self) -> dict[str, tuple[float, float]]:
        """The scale of every score that some rubric gives."""
        return {score: scale for rubric in self.rubrics for score, scale in rubric.scales.items()}
