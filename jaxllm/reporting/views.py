"""The views of `jaxllm report` by name: material in, tables out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from etils import epath

from jaxllm.errors import UserError
from jaxllm.observe.writer import read_scalars
from jaxllm.reporting.boards import BASE, TUNED, Board, make_boards
from jaxllm.reporting.comparison import Comparison, Flip, compare, flips
from jaxllm.reporting.comparison_tables import comparison_grids
from jaxllm.reporting.grid import Grid
from jaxllm.reporting.leaderboard import (
    Leaderboard,
    is_judged,
    leaderboard_grid,
    make_leaderboard,
)
from jaxllm.reporting.progress import Progress, Scalars, training_progress
from jaxllm.reporting.readers import Material, read_material
from jaxllm.reporting.reliability import Reliability, judge_evaluation
from jaxllm.reporting.results import Result
from jaxllm.reporting.sensitivity import find_sensitivities
from jaxllm.reporting.sizes import Sizes, model_sizes
from jaxllm.reporting.strengths import Profile, profiles
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


@dataclass(frozen=True, kw_only=True)
class TuningEffect:
    """Two models compared on one suite: what they are called there, and the answers that turned."""

    comparison: Comparison
    before: str
    after: str
    flips: tuple[Flip, ...]


def leaderboards(material: Material, options: ViewOptions) -> list[Grid]:
    """A leaderboard for every suite, split and number of shots."""
    return [
        leaderboard_grid(leaderboard, digits=options.digits)
        for _, leaderboard in find_leaderboards(material, options)
    ]


def find_leaderboards(material: Material, options: ViewOptions) -> list[tuple[Board, Leaderboard]]:
    """Every board with its leaderboard; judged results stand beside the scored ones."""
    judged = [result for result in material.results if is_judged(result)]
    scored = [result for result in material.results if not is_judged(result)]
    return [
        (
            board,
            make_leaderboard(
                board, judged, sort=options.sort, chance_corrected=options.chance_corrected
            ),
        )
        for board in make_boards(scored or judged)
    ]


def tradeoff(material: Material, options: ViewOptions) -> list[Grid]:
    """Violations, over-refusals and usefulness of the models that a judge has read."""
    return [tradeoff_grid(tradeoffs(material.results), digits=options.digits)]


def tuning_effect(
    before: str | epath.Path, after: str | epath.Path
) -> tuple[list[TuningEffect], tuple[str, ...]]:
    """The results of one place against those of another, and what could not be read.

    Of each suite, split and number of shots that both have, the last result of each is compared.
    Raises UserError where they have none in common, or one holds several runs of it.
    """
    materials = [read_material([place]) for place in (before, after)]
    apart = [{board.title: board for board in make_boards(some.results)} for some in materials]
    effects = []
    for board in make_boards([run for material in materials for run in material.results]):
        sides = [_models(found[board.title]) for found in apart if board.title in found]
        if len(sides) < 2 or not all(sides):
            continue
        for place, side in zip((before, after), sides, strict=True):
            if len(side) > 1:
                names = "".join(f"\n  {run.folder}" for run in side)
                raise UserError(f"{place} holds several runs of {board.title}; name one:{names}")
        (first,), (second,) = sides
        comparison = compare(first, second, title=board.title)
        effects.append(
            TuningEffect(
                comparison=comparison,
                before=board.label(first),
                after=board.label(second),
                flips=tuple(flips(comparison)),
            )
        )
    if not effects:
        raise UserError(
            f"{before} and {after} have no suite, split and number of shots in common, and only "
            "what was asked in the same way compares"
        )
    return effects, tuple(reason for material in materials for reason in material.left_out)


def _models(board: Board) -> tuple[Result, ...]:
    return (*board.having(BASE), *board.having(TUNED))


def comparisons(effects: Sequence[TuningEffect], options: ViewOptions) -> list[Grid]:
    """The tables of every effect."""
    return [
        grid
        for one in effects
        for grid in comparison_grids(
            one.comparison, one.flips, before=one.before, after=one.after, digits=options.digits
        )
    ]


def progress(material: Material, options: ViewOptions) -> list[Grid]:
    """A table a run that was evaluated at several steps, with the tuning loss beside."""
    return [progress_grid(run, options.digits) for run in find_progress(material)]


def find_progress(material: Material) -> list[Progress]:
    """Every run that was evaluated at several steps."""
    return [
        run
        for board in make_boards(material.results)
        for run in training_progress(board, read_run_scalars)
    ]


def sizes(material: Material, options: ViewOptions) -> list[Grid]:
    """Models by parameters, with tokens and training operations where they are known."""
    return [grid for some in find_sizes(material) for grid in sizes_grids(some, options.digits)]


def find_sizes(material: Material) -> list[Sizes]:
    """Every board's models by size."""
    found = (model_sizes(board, material.cards) for board in make_boards(material.results))
    return [some for some in found if some.models]


def strengths(material: Material, options: ViewOptions) -> list[Grid]:
    """Categories against the model's own mean and against its peers."""
    return [
        strengths_grid(title, found, options.digits) for title, found in find_strengths(material)
    ]


def find_strengths(material: Material) -> list[tuple[str, tuple[Profile, ...]]]:
    """Every board's title and profiles, where it has some."""
    return [
        (board.title, found)
        for board in make_boards(material.results)
        if (found := profiles(board))
    ]


def reliability(material: Material, options: ViewOptions) -> list[Grid]:
    """What the evaluation can tell apart, how firm its ranks are, and how it was asked."""
    grids = [grid for found in find_reliability(material) for grid in reliability_grids(found)]
    sensitivities = find_sensitivities(material.results)
    return grids + ([sensitivity_grid(sensitivities, options.digits)] if sensitivities else [])


def find_reliability(material: Material) -> list[Reliability]:
    """Every board's evaluation judged, where samples have scores."""
    judged = (judge_evaluation(board) for board in make_boards(material.results))
    return [found for found in judged if found.tasks]


def training_run(result: Result) -> epath.Path | None:
    """The folder of the training run behind a result, with its metrics; None where there is none.

    A result lies in its run, or says where the model came from.
    """
    above = [result.folder, *result.folder.parents][: _RUN_DEPTH + 1]
    source = result.record["model"].get("source")
    places = [*above, *([epath.Path(source)] if source else [])]
    return next((place for place in places if (place / "metrics").is_dir()), None)


def read_run_scalars(result: Result) -> Scalars:
    """The training metrics of the run behind a result; none where they are not at hand."""
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
