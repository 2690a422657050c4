"""What a judge is asked to learn about the judge: the same again, and answers made longer.

- *again*: the judgments once more, several times, at temperature 0. A judge that goes by the answer
  repeats itself.
- *padded*: every answer with its text said twice. It is longer and no better: a judge that gives
  more for it has a length bias (after the repetitive lists of Zheng et al. 2023,
  https://arxiv.org/abs/2306.05685).
- *swapped*: an answer and its padded form side by side, in both orders, where the benchmark says
  how two answers are compared. It shows what the place and the length decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from jaxllm.chat import CallJournal, ChatModel
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark, Question
from jaxllm.judging.comparisons import Verdict, compare_answers
from jaxllm.judging.judgments import Judgment, judge_answers

AGAIN, PADDED = "again, at temperature 0", "answers said twice"
_ORIGINAL, LONGER = "as it is", "said twice"

ByModel = Mapping[str, Sequence[Answer]]


def again(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: ByModel,
    judge: ChatModel,
    journal: CallJournal,
    *,
    times: int,
) -> dict[str, list[Judgment]]:
    """`times` judgments of each model's answers at temperature 0, all asked for anew."""
    cold = dataclasses.replace(benchmark.judge, temperature=0.0, temperatures={})
    asked = dataclasses.replace(benchmark, name=f"{benchmark.name}, again", judge=cold)
    return {
        model: judge_answers(asked, questions, given, judge, journal, votes=times)
        for model, given in answers.items()
    }


def padded(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: ByModel,
    judge: ChatModel,
    journal: CallJournal,
    *,
    votes: int,
) -> dict[str, list[Judgment]]:
    """Judgments of the answers said twice, turn by turn: what stands before one is as it was."""
    found: dict[str, list[Judgment]] = {}
    for model, given in answers.items():
        found[model] = []
        for turn in sorted({rubric.turn for rubric in benchmark.rubrics}):
            asked = dataclasses.replace(
                benchmark,
                name=f"{benchmark.name}, padded",
                rubrics=tuple(rubric for rubric in benchmark.rubrics if rubric.turn == turn),
            )
            longer = [said_twice(answer, turn) for answer in given]
            found[model] += judge_answers(asked, questions, longer, judge, journal, votes=votes)
    return found


def swapped(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: ByModel,
    judge: ChatModel,
    journal: CallJournal,
) -> list[Verdict]:
    """Verdicts on each answer beside its padded form, in both orders, the forms being models."""
    found: list[Verdict] = []
    for given in answers.values():
        for turn in sorted({pair.turn for pair in benchmark.pairs}):
            asked = dataclasses.replace(
                benchmark,
                name=f"{benchmark.name}, swapped",
                pairs=tuple(pair for pair in benchmark.pairs if pair.turn == turn),
            )
            sides = {_ORIGINAL: given, LONGER: [said_twice(answer, turn) for answer in given]}
            found += compare_answers(asked, questions, sides, judge, journal)
    return found


def said_twice(answer: Answer, turn: int) -> Answer:
    """The answer with the text of one turn said twice."""
    turns = [
        f"{text}\n\n{text}" if text and number == turn else text
        for number, text in enumerate(answer.turns, start=1)
    ]
    return dataclasses.replace(answer, turns=tuple(turns))
