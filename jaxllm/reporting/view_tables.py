"""The views of progress, sizes, strengths, reliability and sensitivity in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.reporting.grid import MISSING, Grid
from jaxllm.reporting.progress import Progress
from jaxllm.reporting.reliability import WANTED, Reliability
from jaxllm.reporting.sensitivity import Sensitivity
from jaxllm.reporting.sizes import Sized, Sizes
from jaxllm.reporting.strengths import Deviation, Profile

_Score = tuple[float, float | None, float | None] | None


def progress_grid(progress: Progress, digits: int) -> Grid:
    """A row a step: tokens, loss and scores."""
    return Grid(
        title=f"{progress.label} · {progress.title}",
        columns=("step", "tokens", "loss", *progress.columns),
        rows=tuple(
            (
                f"{point.step:,}",
                _count(point.tokens),
                MISSING if point.loss is None else f"{point.loss:.3f}",
                *(_score(score, digits) for score in point.scores),
            )
            for point in progress.points
        ),
        records=tuple(
            {
                "model": progress.label,
                "step": point.step,
                "tokens": point.tokens,
                "loss": point.loss,
                **_score_record(progress.columns, point.scores),
            }
            for point in progress.points
        ),
        notes=("score, and half its 95 % interval below; loss is the mean since the row above",),
    )


def sizes_grids(sizes: Sizes, digits: int) -> list[Grid]:
    """Models by size, and below how their scores follow it."""
    models = Grid(
        title=f"{sizes.title} · by size",
        columns=("model", *sizes.columns),
        rows=tuple(
            (
                f"{model.label}\n{_size(model)}",
                *(_score(score, digits) for score in model.scores),
            )
            for model in sizes.models
        ),
        records=tuple(
            {
                "model": model.label,
                "parameters": model.parameters,
                "tokens": model.tokens,
                "training_flops": model.flops,
                **_score_record(sizes.columns, model.scores),
            }
            for model in sizes.models
        ),
        notes=("FLOPs: 6 for each parameter and token where a card does not tell them",),
    )
    if not sizes.trends:
        return [models]
    trends = Grid(
        title="what ten times the size is worth",
        columns=("score", "against", "models", "points", "95 %", "rank corr."),
        rows=tuple(
            (
                trend.column,
                trend.against,
                str(trend.num_models),
                f"{trend.slope:+.{digits}f}",
                f"{trend.low:+.{digits}f} to {trend.high:+.{digits}f}",
                f"{trend.spearman:+.2f}",
            )
            for trend in sizes.trends
        ),
        records=tuple(vars(trend) for trend in sizes.trends),
        notes=("least squares on the logarithm of the size; models of one family are no sample",),
    )
    return [models, trends]


def strengths_grid(title: str, profiles: Sequence[Profile], digits: int) -> Grid:
    """Two rows a model: its categories against its own mean, and against its peers."""
    names = list(profiles[0].against_own_mean)
    rows, records = [], []
    for profile in profiles:
        for against, deviations in (
            ("own mean", profile.against_own_mean),
            ("peers", profile.against_peers),
        ):
            if not deviations:
                continue
            cells = [_deviation(deviations[name], digits) for name in names]
            mean = f" {profile.mean:.{digits}f}" if against == "own mean" else ""
            rows.append((f"{profile.label}\nagainst {against}{mean}", *cells))
            records += [
                {
                    "model": profile.label,
                    "mean": profile.mean,
                    "against": against,
                    "category": name,
                    "deviation": deviation.raw,
                    "shrunken": deviation.shrunken,
                    "standard_deviation": deviation.deviation,
                    "is_clear": deviation.is_clear,
                }
                for name, deviation in deviations.items()
            ]
    return Grid(
        title=f"{title} · strengths and weaknesses",
        columns=("model", *names),
        rows=tuple(rows),
        records=tuple(records),
        notes=(
            "points above or below, drawn towards 0 by how uncertain a category is",
            "* clearly so (95 %)",
        ),
    )


def reliability_grids(reliability: Reliability) -> list[Grid]:
    """What each task can tell apart, and how firm the ranks are."""
    tasks = Grid(
        title=f"{reliability.title} · what its tasks can tell",
        columns=("task", "samples", "models", "split-half", "detectable", f"for {WANTED:g}"),
        rows=tuple(
            (
                task.task.rpartition(":")[2],
                f"{task.num_samples:,}",
                str(task.num_models),
                MISSING if task.split_half is None else f"{task.split_half:.2f}",
                MISSING if task.detectable is None else f"{task.detectable:.3f}",
                MISSING if task.needed is None else f"{task.needed:,}",
            )
            for task in reliability.tasks
        ),
        records=tuple(vars(task) for task in reliability.tasks),
        notes=(
            "split-half: reliability of the scores of three models or more",
            "detectable: the least paired difference that is found (5 %, power 80 %)",
            f"for {WANTED:g}: samples needed to find so small a difference",
        ),
    )
    if not reliability.ranks:
        return [tasks]
    ranks = Grid(
        title="ranks, had other tasks been drawn",
        columns=("model", "average", "rank", "95 %", "stays"),
        rows=tuple(
            (
                one.label,
                f"{one.average:.3f}",
                str(one.rank),
                f"{one.low} to {one.high}",
                f"{100 * one.stays:.0f} %",
            )
            for one in reliability.ranks
        ),
        records=tuple(vars(one) for one in reliability.ranks),
        notes=()
        if reliability.kendall is None
        else (f"Kendall's tau with the ranks of drawn tasks: {reliability.kendall:.2f}",),
    )
    return [tasks, ranks]


def sensitivity_grid(found: Sequence[Sensitivity], digits: int) -> Grid:
    """A row a way of asking, with the spread of its task and model."""
    rows, records = [], []
    for one in found:
        for variant in one.variants:
            conditions = ", ".join(f"{name}={value}" for name, value in variant.conditions)
            score = _score((variant.mean, variant.low, variant.high), digits)
            name = one.task.rpartition(":")[2]
            rows.append((one.model, name, conditions, score, f"{one.spread:.{digits}f}"))
            records.append(
                {
                    "model": one.model,
                    "name": one.task,
                    "conditions": conditions,
                    "mean": variant.mean,
                    "low": variant.low,
                    "high": variant.high,
                    "spread": one.spread,
                    "samples": one.num_samples,
                }
            )
    return Grid(
        title="what the way of asking is worth",
        columns=("model", "task", "asked with", "score", "spread"),
        rows=tuple(rows),
        records=tuple(records),
        notes=("spread: the best score of a task less its worst",),
    )


def _score(score: _Score, digits: int) -> str:
    if score is None:
        return MISSING
    mean, low, high = score
    if low is None or high is None:
        return f"{mean:.{digits}f}"
    half_width = f"{(high - low) / 2:.{digits}f}".removeprefix("0")
    return f"{mean:.{digits}f}\n±{half_width}"


def _score_record(columns: Sequence[str], scores: Sequence[_Score]) -> Mapping[str, Any]:
    record: dict[str, Any] = {}
    for column, score in zip(columns, scores, strict=True):
        values = score or (None, None, None)
        record |= dict(zip((column, f"{column}_low", f"{column}_high"), values, strict=True))
    return record


def _deviation(deviation: Deviation, digits: int) -> str:
    sign = "*" if deviation.is_clear else ""
    return f"{deviation.shrunken:+.{max(1, digits - 1)}f}{sign}"


def _size(model: Sized) -> str:
    flops = MISSING if model.flops is None else f"{model.flops:.1e}"
    return f"{_count(model.parameters)} on {_count(model.tokens)} tokens, {flops} FLOPs"


def _count(count: float | None) -> str:
    """A size in words: 1.87B."""
    if count is None:
        return MISSING
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:.0f}"
