"""Two models' answers side by side: which is better, asked in both orders.

A judge tends to favour a place, so an answer wins only where it does in either (Zheng et al. 2023,
https://arxiv.org/abs/2306.05685); verdicts that differ with the order are a tie.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxllm.chat import CallJournal, ChatModel
from jaxllm.errors import UserError
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark, Question
from jaxllm.judging.judgments import NO_ANSWER, Call, Judgment, ask_judge, missing
from jaxllm.judging.prompts import applies, pair_messages
from jaxllm.reporting.statistics import mean_interval
from jaxllm.reporting.win_rates import TIE, Comparison


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge said of two models' answers, the first one's being shown first."""

    first: str
    second: str
    judgment: Judgment

    @property
    def worth(self) -> float | None:
        """1 where the first is better, 0 where the second is, 0.5 for a tie, None if unreadable."""
        scores = self.judgment.scores
        return None if scores is None else next(iter(scores.values()))

    @property
    def game(self) -> tuple[str, int, int, int]:
        """What is the same for both orders: question, sample, turn and vote."""
        one = self.judgment
        return one.question, one.sample, one.turn, one.vote


def compare_answers(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[Answer]],
    judge: ChatModel,
    journal: CallJournal,
    *,
    baseline: str = "",
    votes: int = 1,
) -> list[Verdict]:
    """Verdicts on every two models' answers to the same question, in both orders.

    With a `baseline` every other model is compared with that one alone. Samples are compared by
    their number. A verdict that cannot be read is asked for again, then missing.

    Raises:
        UserError: the benchmark says not how to compare, there are no two models, the baseline is
            none of them, or the judge cannot be asked at all.
    """
    if not benchmark.pairs:
        raise UserError(
            f"{benchmark.name} does not say how two answers are compared: give it `pairs`"
        )
    if len(answers) < 2:
        raise UserError("a comparison needs the answers of two models: give --answers twice")
    if baseline and baseline not in answers:
        raise UserError(f"the baseline {baseline!r} is not among {', '.join(answers)}")
    pairs = [
        pair for pair in itertools.combinations(answers, 2) if not baseline or baseline in pair
    ]
    asked = {question.id: question for question in questions}
    calls: list[tuple[Call, tuple[str, str], bool]] = []
    for one, other in pairs:
        calls += _calls(benchmark, asked, (one, answers[one]), (other, answers[other]), votes)
    if not calls:
        raise UserError(f"no question of {benchmark.name} is answered by two of these models")
    wanted = [call for call, _, answered in calls if answered]
    said = iter(ask_judge(benchmark, wanted, judge, journal, title="comparisons"))
    return [
        Verdict(
            first=first,
            second=second,
            judgment=next(said) if answered else missing(call, NO_ANSWER),
        )
        for call, (first, second), answered in calls
    ]


def _calls(
    benchmark: Benchmark,
    questions: Mapping[str, Question],
    one: tuple[str, Sequence[Answer]],
    other: tuple[str, Sequence[Answer]],
    votes: int,
) -> list[tuple[Call, tuple[str, str], bool]]:
    """What is to be asked about two models, who is shown first, and whether there is an answer."""
    theirs = {(answer.question, answer.sample): answer for answer in other[1]}
    calls = []
    for answer in one[1]:
        question = questions.get(answer.question)
        rival = theirs.get((answer.question, answer.sample))
        if question is None or rival is None:
            continue
        sides = ((one[0], answer), (other[0], rival))
        rubrics = [rubric for rubric in benchmark.pairs if applies(rubric, question)]
        for rubric, vote, (first, second) in itertools.product(
            rubrics, range(votes), (sides, sides[::-1])
        ):
            turns = first[1].up_to(rubric.turn), second[1].up_to(rubric.turn)
            call = Call(
                question=question,
                sample=answer.sample,
                rubric=rubric,
                vote=vote,
                messages=pair_messages(benchmark, rubric, question, *turns),
                subject=f"{answer.sample}/{first[0]}/{second[0]}",
            )
            answered = not any(None in side for side in turns)
            calls.append((call, (first[0], second[0]), answered))
    return calls


def games(verdicts: Iterable[Verdict]) -> list[tuple[Verdict, Verdict]]:
    """The verdicts on the same two answers in their two orders."""
    waiting: dict[Any, Verdict] = {}
    found = []
    for verdict in verdicts:
        other = waiting.pop((verdict.second, verdict.first, verdict.game), None)
        if other is None:
            waiting[verdict.first, verdict.second, verdict.game] = verdict
        else:
            found.append((other, verdict))
    return found


def merged(verdicts: Iterable[Verdict]) -> list[Comparison]:
    """What both orders come to; a game without a readable verdict in either is left out."""
    outcomes = []
    for one, other in games(verdicts):
        if one.worth is None or other.worth is None:
            continue
        outcomes.append(
            Comparison(
                first=one.first,
                second=one.second,
                question=one.judgment.question,
                worth=one.worth if one.worth == 1 - other.worth else TIE,
            )
        )
    return outcomes


def position_bias(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """How far the place decides: games whose two orders agree, and wins of what is shown first.

    `consistent` is the share of games with the same verdict in both orders; `first_wins` that of
    decided verdicts (no ties) for the answer shown first, 0.5 where the place makes no difference,
    with its interval over questions.
    """
    read = [(one, other) for one, other in games(verdicts) if None not in (one.worth, other.worth)]
    decided: dict[str, list[float]] = {}
    for verdict in itertools.chain.from_iterable(read):
        if verdict.worth not in (None, TIE):
            decided.setdefault(verdict.judgment.question, []).append(float(verdict.worth or 0.0))
    first_wins = None
    if decided:
        first_wins = dataclasses.asdict(mean_interval([*map(statistics.fmean, decided.values())]))
    same = [one.worth == 1 - (other.worth or 0.0) for one, other in read]
    return {
        "num_games": len(read),
        "consistent": statistics.fmean(same) if same else None,
        "first_wins": first_wins,
        "num_decided": sum(map(len, decided.values())),
    }
