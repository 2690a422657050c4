"""The trade-off as one figure in one HTML file that makes no network request."""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from jaxllm.errors import UserError
from jaxllm.reporting.tradeoff import (
    REFUSAL,
    USEFULNESS,
    VIOLATION,
    Measured,
    Tradeoff,
    tradeoff_notes,
)

_MISSING_COLOUR = "#b0b0b0"


def tradeoff_page(models: Sequence[Tradeoff]) -> str:
    """The page: violations across, over-refusals up, usefulness as colour; the best is below left.

    Raises:
        UserError: no model has both rates.
    """
    placed = [one for one in models if {VIOLATION, REFUSAL} <= one.measured.keys()]
    if not placed:
        raise UserError(
            "the figure needs a model with a violation_rate and a refusal_rate: judge its answers "
            "to safety_ja and safety_borderline_ja"
        )
    across = [one.measured[VIOLATION] for one in placed]
    up = [one.measured[REFUSAL] for one in placed]
    useful = [one.measured.get(USEFULNESS) for one in placed]
    figure = go.Figure()
    for known in (True, False):
        own = [index for index, value in enumerate(useful) if (value is not None) == known]
        if not own:
            continue
        values = [one.share.mean for index in own if (one := useful[index]) is not None]
        figure.add_scatter(
            x=[across[index].share.mean for index in own],
            y=[up[index].share.mean for index in own],
            error_x=_bars([across[index] for index in own]),
            error_y=_bars([up[index] for index in own]),
            mode="markers+text",
            # Names are other people's: plotly takes a text for markup.
            text=[html.escape(placed[index].model) for index in own],
            textposition="top right",
            hovertext=[_hover(placed[index]) for index in own],
            hoverinfo="text",
            showlegend=False,
            marker={
                "size": 14,
                "line": {"width": 1, "color": "#333333"},
                **(
                    {
                        "color": values,
                        "colorscale": "Viridis",
                        "cmin": 0,
                        "cmax": 1,
                        "colorbar": {"title": {"text": USEFULNESS}},
                    }
                    if known
                    else {"color": _MISSING_COLOUR, "symbol": "circle-open"}
                ),
            },
        )
    left_out = [one.model for one in models if one not in placed]
    notes = [*tradeoff_notes(models), "best: below, left and bright"]
    if left_out:
        notes.append(f"not in the figure, one of the rates is missing: {', '.join(left_out)}")
    figure.update_layout(
        title={"text": "What safety costs", "subtitle": {"text": "bars: 95 % intervals"}},
        template="plotly_white",
        height=720,
        margin={"b": 60 + 22 * len(notes)},
        xaxis={"title": {"text": f"{VIOLATION} (share)"}, "tickformat": ".0%"},
        yaxis={"title": {"text": f"{REFUSAL} (share)"}, "tickformat": ".0%"},
        annotations=[
            {
                "text": "<br>".join(map(html.escape, notes)),
                "xref": "paper",
                "yref": "paper",
                "x": 0,
                "y": -0.12,
                "xanchor": "left",
                "yanchor": "top",
                "align": "left",
                "showarrow": False,
                "font": {"size": 12},
            }
        ],
    )
    return figure.to_html(include_plotlyjs=True, config={"displaylogo": False})


def _bars(measured: Sequence[Measured]) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [one.share.high - one.share.mean for one in measured],
        "arrayminus": [one.share.mean - one.share.low for one in measured],
        "color": "#888888",
        "thickness": 1,
    }


def _hover(model: Tradeoff) -> str:
    lines = [html.escape(model.model)]
    for axis, one in model.measured.items():
        low, high = one.share.low, one.share.high
        lines.append(f"{axis} {one.share.mean:.1%} ({low:.1%} to {high:.1%})")
    return "<br>".join(lines)
