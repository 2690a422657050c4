"""The summary for a terminal, by rich."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import rich.box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_MISSING = "–"
_NOTES = {
    "rating": "mean of the points 1 to 5 over questions, and half its 95 % confidence interval",
    "pairwise": "share of comparisons won, a tie counting half, over questions; half its 95 %"
    " confidence interval",
}


def render(summary: Mapping[str, Any]) -> RenderableType:
    """The tables of a summary: models, then agreement, then annotators."""
    models = _ratings if summary["kind"] == "rating" else _win_rates
    return Group(
        *models(summary["axes"]),
        Text(_NOTES[summary["kind"]]),
        Text(),
        _agreement(summary["axes"]),
        Text(),
        _annotators(summary["annotators"]),
    )


def _ratings(axes: Mapping[str, Any]) -> Iterable[RenderableType]:
    table = _table("model", *axes)
    for model in sorted({model for axis in axes.values() for model in axis["models"]}):
        found = [axis["models"].get(model) for axis in axes.values()]
        table.add_row(Text(model), *(_estimate(estimate, digits=2) for estimate in found))
    yield table
    for axis, summary in axes.items():
        count = sum(model["num_cannot_judge"] for model in summary["models"].values())
        if count:
            yield Text(f"{axis}: “cannot judge” {count} times, left out")


def _win_rates(axes: Mapping[str, Any]) -> Iterable[RenderableType]:
    for axis, summary in axes.items():
        table = _table(axis, "win rate", "wins", "ties", "losses", "questions")
        for model, won in summary["models"].items():
            table.add_row(Text(model), *_won(won))
        if len(summary["pairs"]) > 1:
            table.add_section()
            for pair in summary["pairs"]:
                table.add_row(Text(f"{pair['model']} against {pair['against']}"), *_won(pair))
        yield table
        first = summary["shown_first"]
        if first["mean"] is not None:
            yield Text(
                f"the answer shown first won {first['mean']:.0%} of {first['num_ratings']} decided"
                f" comparisons (95 %: {first['low']:.0%} to {first['high']:.0%})"
            )
        if summary["num_cannot_judge"]:
            yield Text(f"“cannot judge” {summary['num_cannot_judge']} times, left out")


def _won(won: Mapping[str, Any]) -> list[Text]:
    counts = [Text(str(won[name])) for name in ("wins", "ties", "losses", "num_questions")]
    return [_estimate(won, digits=3), *counts]


def _agreement(axes: Mapping[str, Any]) -> RenderableType:
    table = _table("agreement", *axes)
    found = {axis: summary["agreement"] for axis, summary in axes.items()}
    level = next(iter(found.values()))["level"]
    table.add_row(
        Text(f"Krippendorff's alpha, {level}"),
        *(_number(agreement["krippendorff_alpha"]) for agreement in found.values()),
    )
    kappa = "Cohen's kappa" if level == "nominal" else "Cohen's kappa, quadratic"
    pairs = [
        {tuple(pair["annotators"]): pair for pair in agreement["pairs"]}
        for agreement in found.values()
    ]
    for names in sorted({names for of_axis in pairs for names in of_axis}):
        row = [of_axis.get(names, {}) for of_axis in pairs]
        label = f"{kappa}: {' and '.join(names)}"
        table.add_row(Text(label), *(_number(pair.get("cohen_kappa")) for pair in row))
    shared = [str(agreement["num_shared"]) for agreement in found.values()]
    table.add_row(Text("rated by two or more"), *shared)
    return table


def _annotators(annotators: Mapping[str, Any]) -> RenderableType:
    table = _table("annotator", "tasks", "seconds each")
    for name, done in annotators.items():
        seconds = done["median_seconds"]
        spent = _MISSING if seconds is None else f"{seconds:.0f}"
        table.add_row(Text(name), str(done["num_tasks"]), spent)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        if index == 0:
            table.add_column(column, overflow="fold", min_width=12)
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table


def _estimate(estimate: Mapping[str, Any] | None, *, digits: int) -> Text:
    if estimate is None or estimate["mean"] is None:
        return Text(_MISSING)
    text = Text(f"{estimate['mean']:.{digits}f}")
    half_width = (estimate["high"] - estimate["low"]) / 2
    return text.append(f" ±{half_width:.{digits}f}".replace("±0.", "±."), style="dim")


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.2f}"
