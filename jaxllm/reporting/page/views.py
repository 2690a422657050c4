"""The views of `jaxllm report` as pages: the values behind each, and the scripts that draw them.

A view's script stands beside this file under its name and finds the values in one list, an item
a suite, split and number of shots (or a run, for progress).
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.browsing import browsable_samples
from jaxllm.reporting.comparison import Difference
from jaxllm.reporting.curves import thinned_losses
from jaxllm.reporting.leaderboard import Leaderboard
from jaxllm.reporting.page.document import PLOTLY, read_texts, render_document
from jaxllm.reporting.readers import Material
from jaxllm.reporting.reliability import WANTED
from jaxllm.reporting.results import Result
from jaxllm.reporting.sensitivity import find_sensitivities
from jaxllm.reporting.tradeoff import AXES, tradeoff_notes, tradeoffs
from jaxllm.reporting.views import (
    TuningEffect,
    ViewOptions,
    find_leaderboards,
    find_progress,
    find_reliability,
    find_sizes,
    find_strengths,
    read_run_scalars,
)

COMPARISON = "comparison"


def view_page(view: str, material: Material, options: ViewOptions, *, max_samples: int) -> str:
    """The page of a view of `VIEWS`; of each task it carries up to `max_samples` samples."""
    return _page(view, _ITEMS[view](material, options, max_samples), material.left_out)


def comparison_page(
    effects: Sequence[TuningEffect], *, left_out: Sequence[str] = (), max_samples: int
) -> str:
    """The page of tuning effects.

    It carries up to `max_samples` of the answers that turned, of each task in each direction.
    """
    return _page(COMPARISON, [_effect(one, max_samples) for one in effects], left_out)


def _page(view: str, items: Sequence[Any], left_out: Sequence[str]) -> str:
    return render_document(
        "view.html",
        scripts=(
            *((PLOTLY, "plots.js") if view in _WITH_CHARTS else ()),
            *("words.js", "sorting.js", "elements.js"),
            *("difference.js", "sample_card.js", "answers.js"),
            *(f"{view}.js", "view.js"),
        ),
        styles=("view.css",),
        view=view,
        items=_plain(items),
        texts=read_texts(),
        left_out=left_out,
    )


def _plain(value: Any) -> Any:
    """Dataclasses as dicts without the results they come from; no number that JSON lacks."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        pairs = ((name, getattr(value, name)) for name in names)
        return {name: _plain(part) for name, part in pairs if not isinstance(part, Result)}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _leaderboards(material: Material, options: ViewOptions, max_samples: int) -> list[Any]:
    """Each board twice, as it is and above chance, with the samples behind it."""
    plain, corrected = (
        find_leaderboards(material, dataclasses.replace(options, chance_corrected=wanted))
        for wanted in (False, True)
    )
    return [
        {
            "title": board.title,
            "columns": leaderboard.columns,
            "categories": board.categories,
            "sort": options.sort,
            "above_chance": options.chance_corrected,
            "entries": _entries(leaderboard),
            "entries_above_chance": _entries(above),
            "judged": _judged_samples(leaderboard, max_samples),
            "max_samples": max_samples,
            "samples": browsable_samples(board, limit=max_samples),
        }
        for (board, leaderboard), (_, above) in zip(plain, corrected, strict=True)
    ]


def _entries(leaderboard: Leaderboard) -> list[Any]:
    return [
        {
            **_plain(entry),
            "tasks": {name: _task(entry.result, name) for name in entry.result.tasks},
        }
        for entry in leaderboard.entries
    ]


def _judged_samples(leaderboard: Leaderboard, max_samples: int) -> dict[str, Any]:
    """The samples behind judged scores, by label and column."""
    found: dict[str, Any] = {}
    for entry in leaderboard.entries:
        for column, score in zip(leaderboard.columns, entry.scores, strict=True):
            if score.judged is not None:
                (board,) = make_boards([score.judged])
                samples = browsable_samples(board, limit=max_samples)
                found.setdefault(entry.label, {})[column] = samples
    return found


def _task(result: Result, name: str) -> dict[str, Any]:
    task, maximum = result.tasks[name], result.maximum(name)
    measured = task["metrics"][task["headline"]]
    low, high = measured.get("interval") or (None, None)
    shares = {
        key: None if value is None else value / maximum
        for key, value in (("mean", measured.get("mean")), ("low", low), ("high", high))
    }
    return {
        **shares,
        "category": result.category_of(name),
        "num_samples": task["num_samples"],
        "note": measured.get("missing", ""),
    }


def _effect(effect: TuningEffect, max_samples: int) -> dict[str, Any]:
    comparison = effect.comparison
    averages = [one for one in (comparison.average, comparison.average_elsewhere) if one]
    of_average = averages if comparison.average_name is not None else []
    categories = comparison.categories if comparison.average_name is not None else ()
    groups: tuple[tuple[str, Sequence[Difference]], ...] = (
        ("average", of_average),
        ("category", categories),
        ("task", comparison.tasks),
    )
    counts = collections.Counter((flip.task, flip.gained) for flip in effect.flips)
    texts: dict[str, int] = {}
    carried: collections.Counter[tuple[str, bool]] = collections.Counter()
    turned = []
    for flip in effect.flips:
        carried[flip.task, flip.gained] += 1
        if carried[flip.task, flip.gained] <= max_samples:
            told = {name: texts.setdefault(getattr(flip, name), len(texts)) for name in _TOLD}
            turned.append({"task": flip.task, "id": flip.id, "gained": flip.gained, **told})
    return {
        "title": comparison.title,
        "before": effect.before,
        "after": effect.after,
        "rows": [
            {**_plain(one), "kind": kind, "category": comparison.after.category_of(one.name)}
            if kind == "task"
            else {**_plain(one), "kind": kind}
            for kind, group in groups
            for one in group
        ],
        "counts": {
            one.name: {"gained": counts[one.name, True], "lost": counts[one.name, False]}
            for one in comparison.tasks
        },
        "remarks": comparison.remarks,
        "not_compared": comparison.left_out,
        "max_samples": max_samples,
        "flips": turned,
        "texts": list(texts),
    }


_TOLD = ("prompt", "gold", "before", "after")


def _progress(material: Material, options: ViewOptions, max_samples: int) -> list[Any]:
    return [
        {
            **_plain(run),
            "losses": thinned_losses(read_run_scalars(run.points[-1].result)),
        }
        for run in find_progress(material)
    ]


def _sizes(material: Material, options: ViewOptions, max_samples: int) -> list[Any]:
    return list(find_sizes(material))


def _strengths(material: Material, options: ViewOptions, max_samples: int) -> list[Any]:
    return [
        {
            "title": title,
            "profiles": [
                {
                    "label": one.label,
                    "mean": one.mean,
                    **{
                        against: {
                            name: {**_plain(deviation), "is_clear": deviation.is_clear}
                            for name, deviation in getattr(one, against).items()
                        }
                        for against in ("against_own_mean", "against_peers")
                    },
                }
                for one in found
            ],
        }
        for title, found in find_strengths(material)
    ]


def _reliability(material: Material, options: ViewOptions, max_samples: int) -> list[Any]:
    sensitivities = find_sensitivities(material.results)
    found = [{**_plain(one), "wanted": WANTED} for one in find_reliability(material)]
    told = {
        "title": "",
        "sensitivities": [{**_plain(one), "spread": one.spread} for one in sensitivities],
    }
    return found + ([told] if sensitivities else [])


def _tradeoff(material: Material, options: ViewOptions, max_samples: int) -> list[Any]:
    models = tradeoffs(material.results)
    if not models:
        return []
    return [{"title": "", "axes": AXES, "models": models, "notes": tradeoff_notes(models)}]


_WITH_CHARTS = (COMPARISON, "progress", "sizes", "strengths", "reliability", "tradeoff")
_ITEMS: dict[str, Callable[[Material, ViewOptions, int], list[Any]]] = {
    "leaderboard": _leaderboards,
    "progress": _progress,
    "reliability": _reliability,
    "sizes": _sizes,
    "strengths": _strengths,
    "tradeoff": _tradeoff,
}
