"""What is known of a judge: everything that raters and probes tell, as plain values."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jaxllm
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark
from jaxllm.judging.comparisons import Verdict, merged, position_bias
from jaxllm.judging.judgments import Judgment
from jaxllm.judging.probes import LONGER
from jaxllm.judging.raters import Rater, Values, between, length_correlation, rater_of, within
from jaxllm.judging.ratings import SCALE
from jaxllm.reporting.win_rates import win_rates

PEOPLE = "people"
_OVERALL = "overall"

ByModel = Mapping[str, Sequence[Judgment]]


def audit_record(
    benchmark: Benchmark,
    judged: Mapping[str, ByModel],
    *,
    people: Mapping[str, Values] | None = None,
    answers: Mapping[str, Sequence[Answer]] | None = None,
    swapped: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """How far judges agree, with themselves, one another and people.

    Args:
        judged: the judgments of each model's answers, by name of the rater: judges, and what one
            said when it was asked again.
        people: their values by axis. A score is compared with the axis of its name, and the
            headline with "overall" where there is none of that name.
        answers: each model's, for how far scores go with length.
        swapped: what `jaxllm.judging.probes.swapped` came to.

    Returns:
        `scores` with, for each score, every rater's `within` and every two raters' `between`
        (see jaxllm.judging.raters); `position`; how often the `longer` of two answers won; and
        the `reasons` of what is missing.
    """
    headline = benchmark.metrics[0].score
    scores = {}
    for score, scale in benchmark.scales.items():
        raters = [rater_of(name, given, score, scale) for name, given in judged.items()]
        axis = score if score in (people or {}) else _OVERALL if score == headline else ""
        if people and axis in people:
            raters.append(Rater(name=PEOPLE, scale=SCALE, values=people[axis]))
        scores[score] = {
            "raters": {
                rater.name: within(rater)
                | {"length": length_correlation(rater, answers) if answers else None}
                for rater in raters
            },
            "pairs": [
                found
                for pair in itertools.combinations(raters, 2)
                if (found := between(*pair)) is not None
            ],
        }
    asked = [one for given in judged.values() for some in given.values() for one in some]
    asked += [verdict.judgment for verdict in swapped]
    unread = collections.Counter(one.reason for one in asked if one.scores is None)
    longer = win_rates(merged(swapped))["models"].get(LONGER)
    return {
        "benchmark": benchmark.name,
        "preset": benchmark.preset or None,
        "code_version": jaxllm.__version__,
        "scores": scores,
        "position": position_bias(swapped) if swapped else None,
        "longer": longer,
        "num_judgments": len(asked),
        "reasons": dict(unread.most_common()),
    }
