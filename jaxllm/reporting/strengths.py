"""Strengths and weaknesses: a model's categories against its own mean, and against its peers.

A deviation is drawn towards 0 by how uncertain it is (empirical Bayes: the spread of a model's true
deviations is what its observed ones vary beyond their standard errors), so that a category of few
samples does not stand out by chance. Against peers it is what is left of a score when the model's
mean and the category's are taken off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxllm.reporting.averages import averaged_categories
from jaxllm.reporting.boards import BASE, TUNED, Board

_NORMAL_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A shrunken deviation in points of score and the standard deviation it is known to.

    `is_clear` where it is 95 % sure to lie on its side of 0.
    """

    raw: float
    shrunken: float
    deviation: float

    @property
    def is_clear(self) -> bool:
        """Whether 0 lies outside the 95 % interval."""
        return abs(self.shrunken) > _NORMAL_95 * self.deviation > 0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One model's deviations by category; `against_peers` is empty with fewer than three models."""

    label: str
    mean: float
    against_own_mean: Mapping[str, Deviation]
    against_peers: Mapping[str, Deviation]


def profiles(board: Board) -> tuple[Profile, ...]:
    """The profiles of the models that were scored in every category of the board's average."""
    runs = [*board.having(BASE), *board.having(TUNED)]
    names = sorted({name for run in runs for name in averaged_categories(run)})
    whole = [run for run in runs if all(_error(run.categories.get(name)) for name in names)]
    if not whole or len(names) < 2:
        return ()
    score_MC = np.array([[run.categories[name]["mean"] for name in names] for run in whole])
    error_MC = np.array([[_error(run.categories[name]) for name in names] for run in whole])
    own_MC = score_MC - score_MC.mean(axis=1, keepdims=True)
    peers_MC = own_MC - own_MC.mean(axis=0, keepdims=True)
    found = []
    for index, run in enumerate(whole):
        own = _shrunken(own_MC[index], error_MC[index])
        peers = _shrunken(peers_MC[index], error_MC[index]) if len(whole) > 2 else []
        found.append(
            Profile(
                label=board.label(run),
                mean=float(score_MC[index].mean()),
                against_own_mean=dict(zip(names, own, strict=True)),
                against_peers=dict(zip(names, peers, strict=False)),
            )
        )
    return tuple(found)


def _error(measured: Mapping[str, object] | None) -> float | None:
    """The standard error behind a category's interval."""
    interval = measured and measured.get("interval")
    if not isinstance(interval, Sequence):
        return None
    return (interval[1] - interval[0]) / 2 / _NORMAL_95


def _shrunken(raw_C: np.ndarray, error_C: np.ndarray) -> list[Deviation]:
    variance_C = error_C**2
    between = max(0.0, float((raw_C**2).sum() / (len(raw_C) - 1) - variance_C.mean()))
    found = []
    for raw, variance in zip(raw_C, variance_C, strict=True):
        weight = between / (between + variance) if between else 0.0
        found.append(
            Deviation(
                raw=float(raw),
                shrunken=float(weight * raw),
                deviation=math.sqrt(weight * variance),
            )
        )
    return found
