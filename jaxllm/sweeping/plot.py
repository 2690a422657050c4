"""A sweep as one HTML page: the metric over each field that varies, and all losses over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from jaxllm.sweeping.points import field_labels
from jaxllm.sweeping.table import Outcome, Ranking

_LOG_FROM = 10.0  # the largest value over the smallest
_PANEL_PIXELS = 360


def plot_page(outcomes: Sequence[Outcome], ranking: Ranking) -> str:
    """The page as text; it needs no network. Every point shows its settings when touched."""
    labels = field_labels([outcome.point.changes for outcome in outcomes])
    titles = [f"{ranking.metric} over {label}" for label in labels.values()] + ["training loss"]
    figure = make_subplots(rows=len(titles), cols=1, subplot_titles=titles)
    for row, field in enumerate(labels, start=1):
        _metric_over(figure, row, field, outcomes, ranking)
    for outcome in outcomes:
        if outcome.losses:
            steps, losses = zip(*outcome.losses, strict=True)
            line = go.Scatter(x=steps, y=losses, mode="lines", name=outcome.point.name)
            figure.add_trace(line, row=len(titles), col=1)
    figure.update_xaxes(title_text="step", row=len(titles), col=1)
    figure.update_layout(
        template="plotly_white", height=_PANEL_PIXELS * len(titles), hovermode="closest"
    )
    return figure.to_html(include_plotlyjs=True, full_html=True)


def _metric_over(
    figure: Any, row: int, field: str, outcomes: Sequence[Outcome], ranking: Ranking
) -> None:
    best = ranking.best(outcomes)
    shown = [
        (outcome.point.changes[field], ranking.value(outcome), outcome)
        for outcome in outcomes
        if field in outcome.point.changes and ranking.value(outcome) is not None
    ]
    values = [value for value, _, _ in shown]
    are_numbers = all(isinstance(value, (int, float)) for value in values)
    is_log = are_numbers and bool(values) and min(values) > 0
    is_log = is_log and max(values) / min(values) >= _LOG_FROM
    points = go.Scatter(
        x=values if are_numbers else [str(value) for value in values],
        y=[score for _, score, _ in shown],
        mode="markers",
        marker={
            "size": 11,
            "color": ["#c0392b" if one is best else "#2c6e9b" for _, _, one in shown],
        },
        text=[one.point.name for _, _, one in shown],
        hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
        showlegend=False,
    )
    figure.add_trace(points, row=row, col=1)
    figure.update_xaxes(type="log" if is_log else None, row=row, col=1)
