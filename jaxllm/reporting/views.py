"""The views of `jaxllm report` by name: material in, tables out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.grid import Grid
from jaxllm.reporting.leaderboard import is_judged, leaderboard_grid, make_leaderboard
from jaxllm.reporting.readers import Material
from jaxllm.reporting.tradeoff import tradeoff_grid, tradeoffs


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What a view may be asked for.

    `sort` is a column of the leaderboard (empty: the average), `chance_corrected` puts its scores
    above guessing, `digits` stand behind the point.
    """

    sort: str = ""
    chance_corrected: bool = False
    digits: int = 3


def leaderboards(material: Material, options: ViewOptions) -> list[Grid]:
    """A leaderboard for every suite, split and number of shots."""
    judged = [result for result in material.results if is_judged(result)]
    scored = [result for result in material.results if not is_judged(result)]
    return [
        leaderboard_grid(
            make_leaderboard(
                board,
                judged,
                sort=options.sort,
                chance_corrected=options.chance_corrected,
            ),
            digits=options.digits,
        )
        for board in make_boards(scored or judged)
    ]


def tradeoff(material: Material, options: ViewOptions) -> list[Grid]:
    """Violations, over-refusals and usefulness of the models that a judge has read."""
    return [tradeoff_grid(tradeoffs(material.results), digits=options.digits)]


VIEWS: dict[str, Callable[[Material, ViewOptions], list[Grid]]] = {
    "leaderboard": leaderboards,
    "tradeoff": tradeoff,
}
