"""The page of all results: what was learned, scores, curves, answers, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.reporting.boards import BASE, CONTROL, MAJORITY, TUNED, Board
from jaxllm.reporting.browsing import DEFAULT_LIMIT, RIGHT_FROM, SCRIPTS, browsable_samples
from jaxllm.reporting.curves import chart_data
from jaxllm.reporting.learned import RULE, judge, reference_for
from jaxllm.reporting.page.document import PLOTLY, read_texts, render_document
from jaxllm.reporting.pairing import average_difference
from jaxllm.reporting.provenance import facts
from jaxllm.reporting.results import Result
from jaxllm.reporting.table import score_table
from jaxllm.reporting.without_overlap import Overlapping

CATEGORY_NAMES = {
    "CG": "code generation",
    "EL": "entity linking",
    "FA": "fundamental analysis",
    "HE": "human examination",
    "MC": "multiple-choice questions",
    "MR": "mathematical reasoning",
    "MT": "machine translation",
    "NLI": "natural language inference",
    "QA": "question answering",
    "RC": "reading comprehension",
    "SUM": "summarisation",
}
_ROLE_NAMES = {
    MAJORITY: "majority answer",
    CONTROL: "blanked input",
    BASE: "before tuning",
    TUNED: "tuned",
}


def render_page(
    boards: Sequence[Board],
    *,
    left_out: Sequence[str] = (),
    scalars: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    max_samples: int = DEFAULT_LIMIT,
    overlapping: Overlapping | None = None,
) -> str:
    """The whole page as text.

    Args:
        left_out: sentences on folders that could not be read; the page prints them.
        scalars: rows of training metrics by name of run, for the loss curve.
        max_samples: how many samples of each task the page carries.
        overlapping: what `score_table` takes.
    """
    return render_document(
        "template.html",
        scripts=(PLOTLY, "plots.js", "charts.js", *SCRIPTS),
        boards=[_board_view(board, scalars or {}, max_samples, overlapping) for board in boards],
        left_out=left_out,
        rule=RULE,
        texts=read_texts(),
        right_from=RIGHT_FROM,
        max_samples=max_samples,
        category_names=CATEGORY_NAMES,
        role_names=_ROLE_NAMES,
    )


def _board_view(
    board: Board,
    scalars: Mapping[str, Sequence[Mapping[str, Any]]],
    max_samples: int,
    overlapping: Overlapping | None,
) -> dict[str, Any]:
    tuned = board.having(TUNED)
    return {
        "title": board.title,
        "average": board.average,
        "table": score_table(board, overlapping=overlapping),
        "steps": score_table(board, all_steps=True) if board.earlier else None,
        "tuned": [_tuned_view(board, run) for run in tuned],
        # The charts draw tuned runs in four colours in turn, and so do the marks beside names.
        "marks": {board.label(run): f"tuned c{index % 4 + 1}" for index, run in enumerate(tuned)},
        "charts": chart_data(board, scalars),
        "samples": browsable_samples(board, limit=max_samples),
        "provenance": [_provenance(board, run) for run in board.runs],
    }


def _tuned_view(board: Board, run: Result) -> dict[str, Any]:
    references = {role: reference_for(board, run, role) for role in (MAJORITY, CONTROL, BASE)}
    base = references[BASE]
    verdicts = judge(board, run)
    lacks = run.average.get("missing") or run.average.get("missing_tasks")
    return {
        "label": board.label(run),
        "against": [board.label(other) for other in references.values() if other],
        "average": run.average,
        "partly": "(present)" if lacks else "",  # as the summary of an evaluation calls it
        "gain": average_difference(base, run) if base and board.average else None,
        "judged": sum(verdict.learned is not None for verdict in verdicts),
        "learned": sum(verdict.learned is True for verdict in verdicts),
        "verdicts": [
            {
                "verdict": verdict,
                "score": run.categories[verdict.category],
                "gain": verdict.gains.get(BASE),
                "others": {
                    role: other.categories[verdict.category]["mean"]
                    for role, other in references.items()
                    if other and verdict.category in other.categories
                },
            }
            for verdict in verdicts
        ],
    }


def _provenance(board: Board, run: Result) -> dict[str, Any]:
    return {
        "label": board.label(run),
        "facts": facts(run),
        "tasks": [
            {
                "name": name,
                "metric": task["headline"],
                "samples": task["num_samples"],
                "template": task.get("template"),
                "shots": task.get("num_shots"),
                "data": (task.get("data_sha256") or "")[:12],
            }
            for name, task in run.tasks.items()
        ],
    }
