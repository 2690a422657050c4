"""The numbers behind a page's charts: scores over training steps, profiles, training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.reporting.boards import BASE, CONTROL, MAJORITY, TUNED, Board, steps_of
from jaxllm.reporting.learned import reference_for
from jaxllm.reporting.results import Result

_LOSS = "loss"
_MOST_LOSS_POINTS = 1000


def chart_data(board: Board, scalars: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What the page's charts draw; every list is empty where there is nothing to draw.

    Args:
        scalars: the rows of training metrics by name of run.

    Returns:
        `panels`: one a category (the average first), with `lines` of (step, mean, low, high) and
        `references` (role, mean); `profiles`: (label, role, means by category); `losses`.
    """
    return {
        "panels": [panel for panel in (_panel(board, name) for name in _names(board)) if panel],
        "categories": list(board.categories),
        "profiles": [
            {
                "label": board.label(run),
                "role": role,
                "scores": [_score(run, category) for category in board.categories],
            }
            for role in (BASE, TUNED)
            for run in board.having(role)
        ],
        "losses": [
            {"label": label, **losses}
            for label, rows in scalars.items()
            if (losses := thinned_losses(rows))
        ],
    }


def thinned_losses(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Steps and losses of rows of training metrics, empty where none has a loss.

    Of a long run they are means over equal stretches of rows.
    """
    rows = [row for row in rows if _LOSS in row]
    stretch = -(-len(rows) // _MOST_LOSS_POINTS)
    if not stretch:
        return {}
    parts = [rows[start : start + stretch] for start in range(0, len(rows), stretch)]
    return {
        "steps": [part[-1]["step"] for part in parts],
        "losses": [sum(row[_LOSS] for row in part) / len(part) for part in parts],
        "stretch": stretch,
    }


def _names(board: Board) -> list[str | None]:
    return [*([None] if board.average else []), *board.categories]  # None: the average


def _panel(board: Board, category: str | None) -> dict[str, Any] | None:
    lines = []
    for run in board.having(TUNED):
        steps = [result for result in steps_of(board, run) if result.step is not None]
        before = reference_for(board, run, BASE)
        points = [(0, before)] if before else []
        points += [(result.step or 0, result) for result in steps]
        scored = [(step, *score) for step, result in points if (score := _score(result, category))]
        if len(scored) > 1 and steps:
            lines.append({"label": board.label(run), "points": scored})
    if not lines:
        return None
    references = [
        {"role": role, "mean": score[0]}
        for role in (MAJORITY, CONTROL)
        for run in board.having(role)[:1]
        if (score := _score(run, category))
    ]
    return {"name": category or board.average, "lines": lines, "references": references}


def _score(result: Result, category: str | None) -> tuple[float, float | None, float | None] | None:
    score = result.average if category is None else result.categories.get(category, {})
    if score.get("mean") is None:
        return None
    return score["mean"], *(score.get("interval") or (None, None))
