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
        *_agreement(summary["axes"]),
        Text(),
        _annotators(summary["annotators"]),
    )


def _ratings(axes: Mapping[str, Any]) -> Iterable[RenderableType]:
    table = _table("model", *axes)
    for model in sorted({model for axis in axes.values() for model in axis["models"]}):
        found = [axis["models"].get(model) for axis in axes.values()]
        table.add_row(Text(model), *(_estimate(estimate, digits=2) for estimate in found))
    yield table
    counts = {
        axis: sum(model["num_cannot_judge"] for model in summary["models"].values())
        for axis, summary in axes.items()
    }
    left_out = [f"{axis} {count}" for axis, count in counts.items() if count]
    if left_out:
        yield Text(f"“cannot judge”, left out: {', '.join(left_out)}")


def _win_rates(axes: Mapping[str, Any]) -> Iterable[RenderableType]:
    for axis, summary in axes.items():
        table = _table(axis, "win rate", "wins", "ties", "losses", "questions", "strength")
        for model, won in summary["models"].items():
            strength = summary["strengths"].get(model)
            table.add_row(Text(model), *_won(won), _estimate(strength, digits=2))
        if len(summary["pairs"]) > 1:
            table.add_section()
            for pair in summary["pairs"]:
                table.add_row(Text(f"{pair['model']} against {pair['against']}"), *_won(pair))
        yield table
        yield Text("a tie counts half; strength is Bradley-Terry's, in logits")
        first = summary["shown_first"]
        if first["mean"] is not None:
            yield Text(
                f"the answer shown first won {first['mean']:.0%} of {first['num_ratings']} decided"
                f" comparisons (95 %: {first['low']:.0%} to {first['high']:.0%})"
            )
        if summary["num_cannot_judge"]:
            yield Text(f"“cannot judge”, left out: {summary['num_cannot_judge']}")


def _won(won: Mapping[str, Any]) -> list[Text]:
    counts = [Text(str(won[name])) for name in ("wins", "ties", "losses", "num_questions")]
    return [_estimate(won, digits=3), *counts]


def _agreement(axes: Mapping[str, Any]) -> Iterable[RenderableType]:
    found = [summary["agreement"] for summary in axes.values()]
    table = _table("agreement", *axes)
    table.add_row(
        Text("all"), *(_of_shared(of["krippendorff_alpha"], of["num_shared"]) for of in found)
    )
    pairs = [{tuple(pair["annotators"]): pair for pair in of["pairs"]} for of in found]
    for names in sorted({names for of_axis in pairs for names in of_axis}):
        cells = [
            _of_shared(pair["cohen_kappa"], pair["num_shared"]) if pair else _MISSING
            for pair in (of_axis.get(names) for of_axis in pairs)
        ]
        table.add_row(Text(", ".join(names)), *cells)
    yield table
    level = found[0]["level"]
    weights = "quadratic weights" if level == "ordinal" else "no weights"
    yield Text(
        f"Krippendorff's alpha ({level}) of all, Cohen's kappa ({weights}) of two; in brackets"
        " how many answers were rated by two or more"
    )


def _of_shared(value: float | None, num_shared: int) -> str:
    return f"{_MISSING if value is None else f'{value:.2f}'} ({num_shared})"


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
