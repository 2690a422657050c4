"""The samples of a board as pieces that a page loads one by one: all runs on the same samples.

A sample is found by its task and its place, both counted from 0, the same for all runs. The pieces,
by name:

    index            {runs: [{label, role}], tasks: [{name, category, metric, total, samples}],
                     chunk, rightFrom}; total were asked, samples are here; rightFrom is null
                     where judges gave the scores, which tell how good and not how right
    scores-R         of run R, by task: the samples' scores in order, as shares of the best score;
                     null without a score, false where the run was not asked; [] for other tasks
    questions-T-C    {beginning, questions}: chunk C of task T; a question is
                     [id, rest of the prompt, gold]
    answers-R-T-C    {beginning, answers}: an answer is null where the run was not asked, else
                     [output, prediction, finish reason, rest of the prompt], the prediction null
                     where it is the output, the prompt absent where it is the question's

Prompts with the same shots have a long beginning in common, which a chunk holds once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jaxllm.reporting.boards import CONTROL, MAJORITY, Board, role_of
from jaxllm.reporting.leaderboard import is_judged
from jaxllm.reporting.results import Result, read_samples

DEFAULT_LIMIT = 100
RIGHT_FROM = (
    0.5  # a headline score from this share of the best on counts as a right answer when browsing
)
CHUNK = 500  # samples
SCRIPTS = (  # of page/, in the order in which they run
    *("words.js", "elements.js", "pieces.js", "difference.js", "sample_card.js"),
    *("sample_form.js", "sample_search.js", "samples.js"),
)


def sample_pieces(board: Board, *, limit: int | None = None) -> Iterator[tuple[str, Any]]:
    """The pieces with their names, made as they are taken; one task of one run is held at a time.

    With `limit`, only so many samples of each task; those of the first run that was asked, models
    before floors, whose prompts are not those that models were given.
    """
    names = dict.fromkeys(task for run in board.runs for task in run.tasks)
    scores: list[list[list[Any]]] = [[[] for _ in names] for _ in board.runs]
    tasks = []
    for place, name in enumerate(names):
        asked = [(number, run) for number, run in enumerate(board.runs) if name in run.tasks]
        asked.sort(key=lambda pair: role_of(pair[1]) in (MAJORITY, CONTROL))
        questions: dict[str, dict[str, Any]] = {}
        for number, run in asked:
            answers = _align(run, name, questions, limit)
            by_id = run.headline_scores.get(name, {})
            scores[number][place] = [
                False if answer is None else by_id.get(key)
                for key, answer in zip(questions, answers, strict=False)
            ]
            for chunk, some in _chunks(answers):
                yield f"answers-{number}-{place}-{chunk}", _answers(some)
        for chunk, some in _chunks(list(questions.values())):
            yield f"questions-{place}-{chunk}", _questions(some)
        first = asked[0][1]
        tasks.append(
            {
                "name": name,
                "category": first.category_of(name),
                "metric": first.tasks[name]["headline"],
                "total": first.tasks[name]["num_samples"],
                "samples": len(questions),
            }
        )
    for number, of_run in enumerate(scores):
        yield f"scores-{number}", of_run
    yield (
        "index",
        {
            "runs": [{"label": board.label(run), "role": role_of(run)} for run in board.runs],
            "tasks": tasks,
            "chunk": CHUNK,
            "rightFrom": None if any(map(is_judged, board.runs)) else RIGHT_FROM,
        },
    )


def browsable_samples(board: Board, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """All pieces by name, of the first `limit` samples of each task: what one page carries."""
    return dict(sample_pieces(board, limit=limit))


def _align(
    run: Result, task: str, questions: dict[str, dict[str, Any]], limit: int | None
) -> list[dict[str, Any] | None]:
    """A run's answers in the order of the questions, to which those it alone was asked are added.

    An answer keeps its prompt only where it is not the question's.
    """
    found: dict[str, dict[str, Any]] = {}
    for sample in read_samples(run, task):
        key = sample["id"]
        if key not in questions:
            if limit is not None and len(questions) >= limit:
                continue
            questions[key] = {name: sample[name] for name in ("id", "prompt", "gold")}
        answer = {name: sample[name] for name in ("output", "prediction")}
        answer["finish"] = sample.get("finish_reason")
        if sample["prompt"] != questions[key]["prompt"]:
            answer["prompt"] = sample["prompt"]
        found[key] = answer
    return [found.get(key) for key in questions]


def _chunks(items: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    for start in range(0, len(items), CHUNK):
        yield start // CHUNK, items[start : start + CHUNK]


def _questions(some: Sequence[dict[str, Any]]) -> dict[str, Any]:
    beginning = _beginning([question["prompt"] for question in some])
    return {
        "beginning": beginning,
        "questions": [
            [question["id"], question["prompt"][len(beginning) :], question["gold"]]
            for question in some
        ],
    }


def _answers(some: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    beginning = _beginning([answer["prompt"] for answer in some if answer and "prompt" in answer])
    return {
        "beginning": beginning,
        "answers": [
            answer
            and [
                answer["output"],
                None if answer["prediction"] == answer["output"] else answer["prediction"],
                answer["finish"],
                *([answer["prompt"][len(beginning) :]] if "prompt" in answer else []),
            ]
            for answer in some
        ],
    }


def _beginning(prompts: Sequence[str]) -> str:
    """What all begin with, up to the end of a line: a search never looks across one."""
    if not prompts:
        return ""
    first, last = min(prompts), max(prompts)  # what these two share, all others do
    pairs = enumerate(zip(first, last, strict=False))
    length = next((at for at, (one, other) in pairs if one != other), len(first))
    return first[: first.rfind("\n", 0, length) + 1]
