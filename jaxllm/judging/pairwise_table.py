"""What comparisons of models' answers come to, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich.box
import rich.markup
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxllm.reporting.table import MISSING


def pairwise_table(record: Mapping[str, Any]) -> RenderableType:
    """Win rates and strengths, the strongest model first, and what the place decides."""
    grid = Table(
        title=rich.markup.escape(
            f"{record['benchmark']} · pairwise · judged by {record['judge']['model']}"
        ),
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    grid.add_column("")
    for column in ("win rate", "±", "wins", "ties", "losses", "strength", "±"):
        grid.add_column(column, justify="right")
    models, found = record["models"], record["strengths"]
    for name in found or models:
        strength = (MISSING, "")
        if found:
            half_width = (found[name]["high"] - found[name]["low"]) / 2
            strength = f"{found[name]['mean']:+.2f}", f"{half_width:.2f}"
        grid.add_row(Text(name), *_won(models[name]), *strength)
    if len(record["pairs"]) > 1:
        grid.add_section()
        for pair in record["pairs"]:
            grid.add_row(Text(f"{pair['model']} against {pair['against']}"), *_won(pair))
    return Group(grid, *map(Text, _notes(record)))


def _won(won: Mapping[str, Any]) -> tuple[str, ...]:
    half_width = (won["high"] - won["low"]) / 2
    counts = (str(won[name]) for name in ("wins", "ties", "losses"))
    return f"{won['mean']:.3f}", f"{half_width:.3f}", *counts


def _notes(record: Mapping[str, Any]) -> list[str]:
    notes = [
        "a tie counts half; an answer wins where it does in both orders, and is tied otherwise",
        "strength: Bradley-Terry, in logits; ± is half the 95 % interval",
    ]
    if not record["strengths"]:
        notes[1] = "no strengths: not all models are connected by comparisons"
    if record["preset"]:
        notes.append(f"as {record['preset']} does it")
    position = record["position"]
    if position["consistent"] is not None:
        share, count = position["consistent"], position["num_games"]
        told = f"{share:.0%} of {count} games end alike in both orders"
        if first := position["first_wins"]:
            told += (
                f"; the answer shown first wins {first['mean']:.0%} of {position['num_decided']}"
                f" decided verdicts (95 %: {first['low']:.0%} to {first['high']:.0%})"
            )
        notes.append(told)
    return notes + [
        f"{n} of {record['num_verdicts']} verdicts missing: {why}"
        for why, n in record["reasons"].items()
    ]
