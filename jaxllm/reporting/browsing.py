"""The samples that a page carries: the same ones of every run, each text stored once."""

from __future__ import annotations

import itertools
from typing import Any

from jaxllm.reporting.boards import Board, role_of
from jaxllm.reporting.results import Result, read_samples

DEFAULT_LIMIT = 100
RIGHT_FROM = (
    0.5  # a headline score from this share of the best on counts as a right answer when browsing
)


def browsable_samples(board: Board, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """The first `limit` samples of each task, with the answers of each of the board's runs.

    Shape: `texts` holds every distinct text once and is pointed into by index;
    `runs: [{label, role}]`; `tasks: [{name, category, metric, total, samples}]`, a sample being
    `{id, gold, answers}` with one answer for each run, None where a run was not asked, otherwise
    `{prompt, prediction, output, score, finish}`, the score as a share of the best there is.
    """
    texts: dict[str, int] = {}
    names = dict.fromkeys(task for run in board.runs for task in run.tasks)
    return {
        "tasks": [_task(board, name, limit, texts) for name in names],
        "runs": [{"label": board.label(run), "role": role_of(run)} for run in board.runs],
        "texts": list(texts),
        "rightFrom": RIGHT_FROM,
    }


def _task(board: Board, name: str, limit: int, texts: dict[str, int]) -> dict[str, Any]:
    asked = [run for run in board.runs if name in run.tasks]
    # The ids of the first run that was asked decide, so that all runs show the same samples.
    first = {
        sample["id"]: sample for sample in itertools.islice(read_samples(asked[0], name), limit)
    }
    answers: dict[str, list[dict[str, Any] | None]] = {key: [] for key in first}
    for run in board.runs:
        by_id = {}
        if run in asked:
            by_id = {key["id"]: key for key in read_samples(run, name) if key["id"] in first}
        for key in first:
            answers[key].append(_answer(run, name, by_id[key], texts) if key in by_id else None)
    return {
        "name": name,
        "category": asked[0].category_of(name),
        "metric": asked[0].tasks[name]["headline"],
        "total": asked[0].tasks[name]["num_samples"],
        "samples": [
            {"id": key, "gold": _index(texts, sample["gold"]), "answers": answers[key]}
            for key, sample in first.items()
        ],
    }


def _answer(
    run: Result, task: str, sample: dict[str, Any], texts: dict[str, int]
) -> dict[str, Any]:
    score = sample["scores"].get(run.tasks[task]["headline"])
    return {
        "prompt": _index(texts, sample["prompt"]),
        "prediction": _index(texts, sample["prediction"]),
        "output": _index(texts, sample["output"]),
        "score": None if score is None else score / run.maximum(task),
        "finish": sample.get("finish_reason"),
    }


def _index(texts: dict[str, int], text: str) -> int:
    return texts.setdefault(text, len(texts))
