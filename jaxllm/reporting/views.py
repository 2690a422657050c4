"""The views of `jaxllm report` by name: material in, tables out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from etils import epath

from jaxllm.errors import UserError
from jaxllm.observe.writer import read_scalars
from jaxllm.reporting.boards import BASE, TUNED, make_boards
from jaxllm.reporting.comparison import compare, flips
from jaxllm.reporting.comparison_tables import comparison_grids
from jaxllm.reporting.grid import Grid
from jaxllm.reporting.leaderboard import is_judged, leaderboard_grid, make_leaderboard
from jaxllm.reporting.progress import Scalars, training_progress
from jaxllm.reporting.readers import Material, read_material
from jaxllm.reporting.reliability import judge_evaluation
from jaxllm.reporting.results import Result
from jaxllm.reporting.sensitivity import find_sensitivities
from jaxllm.reporting.sizes import model_sizes
from jaxllm.reporting.strengths import profiles
from jaxllm.reporting.tradeoff import tradeoff_grid, tradeoffs
from jaxllm.reporting.view_tables import (
    progress_grid,
    reliability_grids,
    sensitivity_grid,
    sizes_grids,
    strengths_grid,
)

_RUN_DEPTH = 4  # WORKDIR/evals/NAME/STEP: how far above a result its run's folder can be


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


def tuning_effect(
    before: str | epath.Path, after: str | epath.Path, options: ViewOptions
) -> tuple[list[Grid], tuple[str, ...]]:
    """The results of one place against those of another, and what could not be read.

    Of each suite, split and number of shots that both have, the last result of each is compared.
    Raises UserError where they have none in common, or one holds several runs of it.
    """
    materials = [read_material([place]) for place in (before, after)]
    folders = [{str(run.folder) for run in material.results} for material in materials]
    grids = []
    for board in make_boards([run for material in materials for run in material.results]):
        models = (*board.having(BASE), *board.having(TUNED))
        sides = [[run for run in models if str(run.folder) in some] for some in folders]
        if not all(sides):
            continue
        for place, side in zip((before, after), sides, strict=True):
            if len(side) > 1:
                names = "".join(f"\n  {run.folder}" for run in side)
                raise UserError(f"{place} holds several runs of {board.title}; name one:{names}")
        (first,), (second,) = sides
        comparison = compare(first, second, title=board.title)
        labels = {"before": board.label(first), "after": board.label(second)}
        turned = list(flips(comparison))
        grids += comparison_grids(comparison, turned, **labels, digits=options.digits)
    if not grids:
        raise UserError(
            f"{before} and {after} have no suite, split and number of shots in common, and only "
            "what was asked in the same way compares"
        )
    return grids, tuple(reason for material in materials for reason in material.left_out)


def progress(material: Material, options: ViewOptions) -> list[Grid]:
    """A table a run that was evaluated at several steps, with the tuning loss beside."""
    return [
        progress_grid(run, options.digits)
        for board in make_boards(material.results)
        for run in training_progress(board, _read_scalars)
    ]


def sizes(material: Material, options: ViewOptions) -> list[Grid]:
    """Models by parameters, with tokens and training operations where they are known."""
    boards = make_boards(material.results)
    found = [model_sizes(board, material.cards) for board in boards]
    return [grid for some in found if some.models for grid in sizes_grids(some, options.digits)]


def strengths(material: Material, options: ViewOptions) -> list[Grid]:
    """Categories against the model's own mean and against its peers."""
    return [
        strengths_grid(board.title, found, options.digits)
        for board in make_boards(material.results)
        if (found := profiles(board))
    ]


def reliability(material: Material, options: ViewOptions) -> list[Grid]:
    """What the evaluation can tell apart, how firm its ranks are, and how it was asked."""
    judged = (judge_evaluation(board) for board in make_boards(material.results))
    grids = [grid for found in judged if found.tasks for grid in reliability_grids(found)]
    sensitivities = find_sensitivities(material.results)
    return grids + ([sensitivity_grid(sensitivities, options.digits)] if sensitivities else [])


def training_run(result: Result) -> epath.Path | None:
    """The folder of the training run behind a result, with its metrics; None where there is none.

    A result lies in its run, or says where the model came from.
    """
    above = [result.folder, *result.folder.parents][: _RUN_DEPTH + 1]
    source = result.record["model"].get("source")
    places = [*above, *([epath.Path(source)] if source else [])]
    return next((place for place in places if (place / "metrics").is_dir()), None)


def _read_scalars(result: Result) -> Scalars:
    run = training_run(result)
    try:
        return read_scalars(run) if run else ()
    except UserError:
        return ()


VIEWS: dict[str, Callable[[Material, ViewOptions], list[Grid]]] = {
    "leaderboard": leaderboards,
    "progress": progress,
    "reliability": reliability,
    "sizes": sizes,
    "strengths": strengths,
    "tradeoff": tradeoff,
}
