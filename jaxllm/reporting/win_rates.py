"""Comparisons of two models' answers as win rates, whoever compared them: people or judges."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from jaxllm.reporting.statistics import mean_interval

WIN, TIE, LOSS = 1.0, 0.5, 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """One outcome as the first of two models sees it; `worth` is 1 won, 0.5 tied, 0 lost."""

    first: str
    second: str
    question: str
    worth: float

    def turned(self) -> Comparison:
        """The same outcome from the other side."""
        return dataclasses.replace(self, first=self.second, second=self.first, worth=1 - self.worth)


def win_rates(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Each model's win rate over all its comparisons (`models`), and that of each two (`pairs`)."""
    sides = [*comparisons, *(comparison.turned() for comparison in comparisons)]
    names = sorted({side.first for side in sides})
    return {
        "models": {name: _wins([side for side in sides if side.first == name]) for name in names},
        "pairs": [
            {"model": first, "against": second, **_wins(between)}
            for first, second in itertools.combinations(names, 2)
            if (between := [s for s in sides if (s.first, s.second) == (first, second)])
        ],
    }


def first_win_rate(comparisons: Sequence[Comparison]) -> dict[str, float | None]:
    """How often the first model wins, a tie counting half: mean, low and high over questions.

    Turns, opponents and raters of one question are averaged before anything else: the questions
    are what was sampled.
    """
    by_question: dict[str, list[float]] = {}
    for comparison in comparisons:
        by_question.setdefault(comparison.question, []).append(comparison.worth)
    if not by_question:
        return {"mean": None, "low": None, "high": None}
    return dataclasses.asdict(mean_interval([*map(statistics.fmean, by_question.values())]))


def _wins(sides: Sequence[Comparison]) -> dict[str, Any]:
    counts = collections.Counter(side.worth for side in sides)
    return {
        **first_win_rate(sides),
        "wins": counts[WIN],
        "ties": counts[TIE],
        "losses": counts[LOSS],
        "num_questions": len({side.question for side in sides}),
    }
