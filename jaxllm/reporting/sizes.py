"""Score against size: parameters and training operations, of models here and of cards.

What is not recorded in a result comes from a card of the model's name: the user's first, then
those of LLM-jp's released models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from jaxllm.reporting.boards import BASE, TUNED, Board
from jaxllm.reporting.cards import Card, built_in_cards
from jaxllm.reporting.results import Result

_LEAST_MODELS = 3


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A model with its size and scores: `scores` are (mean, low, high) by column, None: missing."""

    label: str
    parameters: float | None
    tokens: float | None
    flops: float | None
    scores: tuple[tuple[float, float | None, float | None] | None, ...]
    result: Result


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a column follows a size: points gained by ten times the size, with the 95 % interval of
    the least-squares slope, and Spearman's rank correlation.
    """

    column: str
    against: str
    num_models: int
    slope: float
    low: float
    high: float
    spearman: float


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A board's models by size, the smallest first, and what the sizes tell."""

    title: str
    columns: tuple[str, ...]
    models: tuple[Sized, ...]
    trends: tuple[Trend, ...]


def model_sizes(board: Board, cards: Sequence[Card] = ()) -> Sizes:
    """Every model of a board with what is known of its size."""
    by_name: dict[str, Card] = {}
    for card in (*built_in_cards(), *cards):
        by_name[card.name] = _completed(card, by_name.get(card.name, card))
    columns = (*((board.average,) if board.average else ()), *board.categories)
    models = [_sized(board, run, by_name) for run in (*board.having(BASE), *board.having(TUNED))]
    models.sort(key=lambda model: (model.parameters or math.inf, model.label))
    trends = [
        trend
        for index, column in enumerate(columns)
        for against in ("parameters", "flops")
        if (trend := _trend(models, index, column, against)) is not None
    ]
    return Sizes(title=board.title, columns=columns, models=tuple(models), trends=tuple(trends))


def _completed(card: Card, other: Card) -> Card:
    """The card, with the sizes of another where it tells none."""
    told = {
        name: getattr(card, name) or getattr(other, name)
        for name in ("parameters", "tokens", "training_flops")
    }
    return replace(card, **told)


def _sized(board: Board, run: Result, cards: dict[str, Card]) -> Sized:
    model = run.record["model"]
    name = model["name"]
    card = cards.get(name) or cards.get(name.rpartition("/")[2])
    card = card or Card(name=name)
    parameters = model.get("num_params") or card.parameters
    known = Card(
        name=name,
        parameters=parameters,
        tokens=card.tokens,
        training_flops=card.training_flops,
    )
    scores = [run.average] if board.average else []
    scores += [run.categories.get(category, {}) for category in board.categories]
    return Sized(
        label=board.label(run),
        parameters=parameters,
        tokens=card.tokens,
        flops=known.flops,
        scores=tuple(
            None
            if measured.get("mean") is None
            else (measured["mean"], *(measured.get("interval") or (None, None)))
            for measured in scores
        ),
        result=run,
    )


def _trend(models: Sequence[Sized], index: int, column: str, against: str) -> Trend | None:
    pairs = [
        (math.log10(size), score[0])
        for model in models
        if (size := getattr(model, against)) and (score := model.scores[index]) is not None
    ]
    if len({size for size, _ in pairs}) < _LEAST_MODELS:
        return None
    size_M, score_M = np.array(pairs).T
    if np.ptp(score_M) == 0:
        return None
    fit = stats.linregress(size_M, score_M)
    half_width = float(stats.t.ppf(0.975, len(pairs) - 2)) * fit.stderr
    return Trend(
        column=column,
        against=against,
        num_models=len(pairs),
        slope=float(fit.slope),
        low=float(fit.slope - half_width),
        high=float(fit.slope + half_width),
        spearman=float(stats.spearmanr(size_M, score_M).statistic),
    )
