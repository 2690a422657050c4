"""A comparison in words: differences, how many answers turned, and the first that did."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Sequence

from jaxllm.reporting.comparison import Comparison, Difference, Flip
from jaxllm.reporting.grid import Grid

_SHOWN_FLIPS = 2  # of a task, in each direction; files have them all
_LONGEST = 28  # characters of an answer in a terminal


def comparison_grids(
    comparison: Comparison, flips: Sequence[Flip], *, before: str, after: str, digits: int = 3
) -> list[Grid]:
    """The grids of a comparison; `before` and `after` are what the two runs are called."""
    return [
        _differences(comparison, f"{after} against {before} · {comparison.title}", digits),
        _counts(comparison, flips),
        _examples(flips),
    ]


def _differences(comparison: Comparison, title: str, digits: int) -> Grid:
    parts = [
        ("average", [part for part in (comparison.average, comparison.average_elsewhere) if part]),
        ("category", comparison.categories),
        ("task", comparison.tasks),
    ]
    if comparison.average_name is None:
        parts = parts[2:]  # each task is a category of its own
    alone = _alone_in_category(comparison)
    rows, records = [], []
    for kind, differences in parts:
        for difference in differences:
            records.append({"kind": kind, **_record(difference)})
            if kind != "task":
                rows.append(_row(difference.name, difference, digits))
            elif difference.name not in alone:
                name = difference.name.rpartition(":")[2]
                rows.append(_row(f"  {name}", difference, digits))
    notes = [
        "difference on the same samples with its 95 % interval, by a paired bootstrap",
        "p by permutation; Holm: corrected for the number of categories, or of tasks",
    ]
    if any(difference.in_distribution for difference in comparison.tasks):
        notes.append("in-distribution: its training split, or another, was in the tuning mixture")
    left_out = [f"not compared: {reason}" for reason in comparison.left_out]
    return Grid(
        title=title,
        columns=("", "before", "after", "difference", "p", "Holm", "samples", "mixture"),
        rows=tuple(rows),
        records=tuple(records),
        notes=(*notes, *comparison.remarks, *left_out),
    )


def _alone_in_category(comparison: Comparison) -> set[str]:
    """Tasks whose category says the same as they do."""
    if comparison.average_name is None:
        return set()
    of = comparison.after.category_of
    counts = collections.Counter(of(task) for task in comparison.after.tasks)
    return {task for task in comparison.after.tasks if of(task) and counts[of(task)] == 1}


def _row(name: str, difference: Difference, digits: int) -> tuple[str, ...]:
    interval = difference.interval
    if difference.in_distribution == difference.num_tasks:
        mark = "in-distribution"
    elif difference.in_distribution:
        mark = f"{difference.in_distribution} of {difference.num_tasks} tasks"
    else:
        mark = ""
    return (
        name,
        f"{difference.before:.{digits}f}",
        f"{difference.after:.{digits}f}",
        f"{interval.mean:+.{digits}f}\n{interval.low:+.{digits}f} to {interval.high:+.{digits}f}",
        _p_value(difference.p_value),
        _p_value(difference.adjusted),
        f"{difference.num_samples:,}",
        mark,
    )


def _record(difference: Difference) -> dict[str, object]:
    return {
        "name": difference.name,
        "before": difference.before,
        "after": difference.after,
        "difference": difference.interval.mean,
        "low": difference.interval.low,
        "high": difference.interval.high,
        "p_value": difference.p_value,
        "p_holm": difference.adjusted,
        "samples": difference.num_samples,
        "tasks": difference.num_tasks,
        "tasks_in_distribution": difference.in_distribution,
    }


def _p_value(p_value: float) -> str:
    return "<.001" if p_value < 0.001 else f"{p_value:.3f}".removeprefix("0")


def _counts(comparison: Comparison, flips: Sequence[Flip]) -> Grid:
    counts = collections.Counter((flip.task, flip.gained) for flip in flips)
    rows, records = [], []
    for difference in comparison.tasks:
        gained, lost = counts[difference.name, True], counts[difference.name, False]
        name = difference.name.rpartition(":")[2]
        rows.append((name, f"{gained:,}", f"{lost:,}", f"{difference.num_samples:,}"))
        records.append(
            {
                "name": difference.name,
                "wrong_to_right": gained,
                "right_to_wrong": lost,
                "samples": difference.num_samples,
            }
        )
    return Grid(
        title="answers that turned",
        columns=("task", "wrong to right", "right to wrong", "samples"),
        rows=tuple(rows),
        records=tuple(records),
        notes=("right is a score of at least half the best there is",),
    )


def _examples(flips: Sequence[Flip]) -> Grid:
    by_kind = collections.defaultdict(list)
    for flip in flips:
        by_kind[flip.task, flip.gained].append(flip)
    shown = itertools.chain.from_iterable(some[:_SHOWN_FLIPS] for some in by_kind.values())
    return Grid(
        title="answers that turned, one by one",
        columns=("sample", "answers"),
        rows=tuple(map(_example, shown)),
        is_text=True,
        records=tuple(
            {
                "name": flip.task,
                "id": flip.id,
                "gained": flip.gained,
                "gold": flip.gold,
                "answer_before": flip.before,
                "answer_after": flip.after,
            }
            for flip in flips
        ),
        notes=(f"the first {_SHOWN_FLIPS} of each task and direction; --out writes all",),
    )


def _example(flip: Flip) -> tuple[str, str]:
    name = f"{flip.task.rpartition(':')[2]} {flip.id}\nnow {'right' if flip.gained else 'wrong'}"
    texts = {"gold": flip.gold, "before": flip.before, "after": flip.after}
    return name, "\n".join(f"{label:6} {_cut(text)}" for label, text in texts.items())


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
