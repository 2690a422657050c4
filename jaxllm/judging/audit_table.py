"""An audit of a judge for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import rich.box
import rich.markup
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxllm.reporting.table import MISSING

_NOTES = """\
equal: share of the items with several votes, or of the pairs of votes, that are the same
alpha: Krippendorff's (interval); kappa: Cohen's (quadratic weights); 0 is what chance would give
spread: mean standard deviation of an item's votes
length: Spearman's correlation of scores with the answers' lengths
change: of the second against the first, and half its 95 % confidence interval"""


def audit_table(record: Mapping[str, Any]) -> RenderableType:
    """For each score the raters by themselves and two by two, then what the probes found."""
    parts: list[RenderableType] = []
    for score, found in record["scores"].items():
        parts += [_raters(record["benchmark"], score, found["raters"]), _pairs(found["pairs"])]
    return Group(*parts, *map(Text, (_NOTES, *_probed(record))))


def _raters(benchmark: str, score: str, raters: Mapping[str, Any]) -> RenderableType:
    grid = _grid(f"{benchmark} · {score}", "items", "mean", "equal", "alpha", "spread", "length")
    for name, one in raters.items():
        numbers = (one["mean"], one["equal"], one["krippendorff_alpha"], one["spread"])
        grid.add_row(
            Text(name), str(one["num_items"]), *map(_number, numbers), _number(one["length"])
        )
    return grid


def _pairs(pairs: Iterable[Mapping[str, Any]]) -> RenderableType:
    columns = ("items", "Spearman", "Kendall", "kappa", "alpha", "equal", "change", "±")
    grid = _grid("", *columns)
    for pair in pairs:
        change, half_width = pair.get("difference"), None
        if change:
            half_width = (change["high"] - change["low"]) / 2
        numbers = (
            *(pair["spearman"], pair["kendall"], pair.get("cohen_kappa")),
            *(pair.get("krippendorff_alpha"), pair.get("equal")),
        )
        grid.add_row(
            Text(" / ".join(pair["raters"])),
            str(pair["num_items"]),
            *map(_number, numbers),
            f"{change['mean']:+.2f}" if change else MISSING,
            _number(half_width),
        )
    return grid


def _probed(record: Mapping[str, Any]) -> list[str]:
    told = [
        f"{score}: {' / '.join(pair['raters'])}: Spearman's correlation of the "
        f"{pair['num_models']} models' means is {pair['spearman_of_models']:.2f}"
        for score, found in record["scores"].items()
        for pair in found["pairs"]
        if pair["spearman_of_models"] is not None
    ]
    position, longer = record["position"], record["longer"]
    if position and position["consistent"] is not None:
        told.append(
            f"{position['consistent']:.0%} of {position['num_games']} comparisons of an answer "
            "with itself said twice end alike in both orders"
        )
        if first := position["first_wins"]:
            told.append(
                f"the answer shown first wins {first['mean']:.0%} of {position['num_decided']} "
                f"decided verdicts (95 %: {first['low']:.0%} to {first['high']:.0%})"
            )
    if longer:
        told.append(
            f"the answer said twice wins {longer['wins']}, ties {longer['ties']} and loses "
            f"{longer['losses']} of them"
        )
    return told + [f"{n} judgments missing: {why}" for why, n in record["reasons"].items()]


def _grid(title: str, *columns: str) -> Table:
    grid = Table(
        title=rich.markup.escape(title) or None,
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    grid.add_column("", overflow="fold", min_width=12)
    for column in columns:
        grid.add_column(column, justify="right", no_wrap=True)
    return grid


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"
