"""A judged result for the terminal, on the scales of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich.box
import rich.markup
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxllm.reporting.grid import MISSING
from jaxllm.reporting.results import Result


def judged_table(result: Result) -> RenderableType:
    """Every metric over all questions, the headline by turn and category, and what is missing."""
    record = result.record
    judge = record["judge"]
    headline = next(iter(result.tasks.values()))["headline"]
    grid = Table(
        title=rich.markup.escape(
            f"{_benchmark(result)} · {record['model']['name']} · judged by {judge['model']}"
        ),
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    grid.add_column("")
    for name in ("mean", "±", "worst case", "scored", "missing"):
        grid.add_column(name, justify="right")
    for name, measured in record["overall"].items():
        grid.add_row(*_row(name, measured), style="bold" if name == headline else "")
    parts = dict(record["turns"])
    if record["suite"] is not None:
        parts |= {task["category"]: task["metrics"][headline] for task in result.tasks.values()}
    for name, measured in parts.items():
        grid.add_row(*_row(f"  {name}", measured))
    return Group(grid, *map(Text, _notes(judge)))


def _benchmark(result: Result) -> str:
    return result.record["suite"] or next(iter(result.tasks))


def _row(name: str, measured: Mapping[str, Any]) -> tuple[str, ...]:
    if "missing" in measured:
        return name, MISSING, "", "", "0", ""
    interval = measured["interval"]
    half_width = f"{(interval[1] - interval[0]) / 2:.2f}" if interval else ""
    counts = str(measured["num_scored"]), str(measured["num_missing"])
    return name, f"{measured['mean']:.2f}", half_width, f"{measured['worst_case']:.2f}", *counts


def _notes(judge: Mapping[str, Any]) -> list[str]:
    notes = [
        "mean of what was scored, and half its 95 % confidence interval",
        "worst case: what is missing counts as the worst there is",
    ]
    if judge["preset"]:
        notes.append(f"as {judge['preset']} does it")
    if judge["num_imputed"]:
        notes.append(f"{judge['num_imputed']} scores are the preset's and not the judge's")
    count = judge["num_judgments"]
    return notes + [
        f"{n} of {count} judgments missing: {why}" for why, n in judge["reasons"].items()
    ]
