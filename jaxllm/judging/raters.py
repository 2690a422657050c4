"""How far raters of the same answers agree: with themselves, with one another, with people.

A rater is a judge, a judge asked once more or about changed answers, or people. What it gave an
item, one turn of one model's answer, is one value a vote, or one an annotator.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from jaxllm.judging.answers import Answer
from jaxllm.judging.judgments import Judgment
from jaxllm.reporting.agreement import cohen_kappa, krippendorff_alpha
from jaxllm.reporting.statistics import mean_interval

# Model, question, sample and turn.
Item = tuple[str, str, int, int]
Values = Mapping[Item, tuple[float, ...]]
_FEWEST_MODELS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rater:
    """What somebody gave on one scale, whose lowest and highest value are `scale`."""

    name: str
    scale: tuple[float, float]
    values: Values


def rater_of(
    name: str,
    judgments: Mapping[str, Sequence[Judgment]],
    score: str,
    scale: tuple[float, float],
) -> Rater:
    """The rater of the readable judgments of each model's answers; imputed scores are nobody's."""
    values: dict[Item, tuple[float, ...]] = {}
    for model, given in judgments.items():
        for one in given:
            if one.scores is not None and score in one.scores and not one.imputed:
                item = model, one.question, one.sample, one.turn
                values[item] = (*values.get(item, ()), one.scores[score])
    return Rater(name=name, scale=scale, values=values)


def within(rater: Rater) -> dict[str, Any]:
    """How alike a rater's values of one item are.

    `equal` is the share of the items with several values whose values are all the same, `alpha`
    Krippendorff's (interval), `spread` the mean standard deviation within an item. None where no
    item has several.
    """
    repeated = [values for values in rater.values.values() if len(values) > 1]
    return {
        "num_items": len(rater.values),
        "mean": statistics.fmean(map(statistics.fmean, rater.values.values()))
        if rater.values
        else None,
        "num_repeated": len(repeated),
        "equal": statistics.fmean(len(set(values)) == 1 for values in repeated)
        if repeated
        else None,
        "krippendorff_alpha": krippendorff_alpha(repeated, level="interval"),
        "spread": statistics.fmean(map(statistics.stdev, repeated)) if repeated else None,
    }


def between(first: Rater, second: Rater) -> dict[str, Any] | None:
    """How far two raters agree on the items that both rated, None where there are none.

    Correlations are of the items' means: `spearman` and `kendall` (tau-b) over items, and
    `spearman_of_models` over models' means where there are three at least. On one scale also
    `cohen_kappa` (quadratic weights) and `equal` over all pairs of one's and the other's values,
    `krippendorff_alpha` (interval) of all values, and the `difference` second - first with its
    interval over questions, and the shares of items `raised` and `lowered`.
    """
    shared = [item for item in first.values if item in second.values]
    if not shared:
        return None
    means = [[statistics.fmean(r.values[item]) for item in shared] for r in (first, second)]
    models = sorted({item[0] for item in shared})
    by_model = [
        [
            statistics.fmean(
                value for item, value in zip(shared, side, strict=True) if item[0] == model
            )
            for model in models
        ]
        for side in means
    ]
    enough = len(models) >= _FEWEST_MODELS
    return {
        "raters": [first.name, second.name],
        "num_items": len(shared),
        "spearman": _correlation(stats.spearmanr, *means),
        "kendall": _correlation(stats.kendalltau, *means),
        "num_models": len(models),
        "spearman_of_models": _correlation(stats.spearmanr, *by_model) if enough else None,
        **(_on_one_scale(first, second, shared) if first.scale == second.scale else {}),
    }


def length_correlation(rater: Rater, answers: Mapping[str, Sequence[Answer]]) -> float | None:
    """Spearman's correlation of what a rater gave with the answers' lengths in characters.

    It tells no cause: what is longer may well be better.
    """
    lengths = {
        (model, answer.question, answer.sample, turn): len(text)
        for model, given in answers.items()
        for answer in given
        for turn, text in enumerate(answer.turns, start=1)
        if text is not None
    }
    shared = [item for item in rater.values if item in lengths]
    if not shared:
        return None
    values = [statistics.fmean(rater.values[item]) for item in shared]
    return _correlation(stats.spearmanr, values, [lengths[item] for item in shared])


def _on_one_scale(first: Rater, second: Rater, shared: Sequence[Item]) -> dict[str, Any]:
    pairs = [
        pair
        for item in shared
        for pair in itertools.product(first.values[item], second.values[item])
    ]
    by_question: dict[str, list[float]] = {}
    changes = []
    for item in shared:
        change = statistics.fmean(second.values[item]) - statistics.fmean(first.values[item])
        changes.append(change)
        by_question.setdefault(item[1], []).append(change)
    return {
        "cohen_kappa": cohen_kappa(
            [one for one, _ in pairs], [other for _, other in pairs], weights="quadratic"
        ),
        "krippendorff_alpha": krippendorff_alpha(
            [[*first.values[item], *second.values[item]] for item in shared], level="interval"
        ),
        "equal": statistics.fmean(one == other for one, other in pairs),
        "difference": _difference(by_question, first.scale),
        "raised": statistics.fmean(change > 0 for change in changes),
        "lowered": statistics.fmean(change < 0 for change in changes),
    }


def _difference(
    by_question: Mapping[str, Sequence[float]], scale: tuple[float, float]
) -> dict[str, float]:
    """The mean change, its interval taken on the scale's width, so that none leaves it."""
    width = scale[1] - scale[0]
    shares = [statistics.fmean(changes) / (2 * width) + 0.5 for changes in by_question.values()]
    interval = mean_interval(shares)
    return {name: (value - 0.5) * 2 * width for name, value in dataclasses.asdict(interval).items()}


def _correlation(of: Any, first: Sequence[float], second: Sequence[float]) -> float | None:
    """A rank correlation; None where one side never varies."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(of(first, second).statistic)
