"""Verdicts on pairs to win rates, strengths and what the place decides, as plain values."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jaxllm
from jaxllm.judging.benchmark import Benchmark, Question
from jaxllm.judging.comparisons import Verdict, games, merged, position_bias
from jaxllm.reporting.bradley_terry import strengths
from jaxllm.reporting.win_rates import win_rates


def pairwise_record(
    benchmark: Benchmark,
    questions: Sequence[Question],
    verdicts: Sequence[Verdict],
    judge: Mapping[str, Any],
) -> dict[str, Any]:
    """What verdicts come to; `judge` is the provenance of who gave them.

    `models` and `pairs` hold win rates with wins, ties and losses, `strengths` those of Bradley and
    Terry, `categories` each model's win rate by category, `position` what the place decides.
    """
    outcomes = merged(verdicts)
    unread = [one.judgment.reason for one in verdicts if one.worth is None]
    category = {question.id: question.category for question in questions}
    names = dict.fromkeys(filter(None, (category.get(one.question, "") for one in outcomes)))
    return {
        "benchmark": benchmark.name,
        "preset": benchmark.preset or None,
        "code_version": jaxllm.__version__,
        "judge": dict(judge),
        **win_rates(outcomes),
        "strengths": {
            name: dataclasses.asdict(strength) for name, strength in strengths(outcomes).items()
        },
        "categories": {
            name: {
                model: won["mean"]
                for model, won in win_rates(
                    [one for one in outcomes if category.get(one.question) == name]
                )["models"].items()
            }
            for name in names
        },
        "position": position_bias(verdicts),
        "num_verdicts": len(verdicts),
        "num_missing": len(unread),
        "num_games": len(games(verdicts)),
        "num_games_left_out": len(games(verdicts)) - len(outcomes),
        "reasons": dict(collections.Counter(unread).most_common()),
    }
