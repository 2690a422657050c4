"""llm-jp-judge's generation folder: BENCHMARK.jsonl for each benchmark, and metadata.json.

Version 2 holds a list with a text for each turn where version 1 holds the text of the only turn.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.corpora.json_records import read_records
from jaxllm.errors import UserError
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Question
from jaxllm.reporting.results import to_json, write_whole_file

METADATA = "metadata.json"
# What version 1 called them.
_OLD_NAMES = {
    "mt_bench_en": "mt_bench",
    "mt_bench_ja": "ja_mt_bench",
    "quality_ja": "quality",
    "safety_ja": "safety",
}


def is_generation_folder(path: str | os.PathLike[str]) -> bool:
    """Whether llm-jp-judge's generate has been here."""
    return (epath.Path(path) / METADATA).is_file()


def read_answers(
    path: str | os.PathLike[str], benchmark: str
) -> tuple[epath.Path, str, list[Answer]]:
    """The file of a benchmark, the model's name and its answers.

    Raises:
        UserError: the folder has no answers to it, or a file is another one.
    """
    folder = epath.Path(path)
    try:
        model = str(json.loads((folder / METADATA).read_bytes())["model_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / METADATA} does not name the model ({error!r})") from error
    places = [
        folder / f"{name}.jsonl"
        for name in (benchmark, _OLD_NAMES.get(benchmark))
        if name is not None
    ]
    found = [place for place in places if place.is_file()]
    if not found:
        raise UserError(f"{folder} has no answers to {benchmark}: looked for {places[0].name}")
    answers = []
    for number, record in enumerate(read_records(found[0]), start=1):
        try:
            answers.append(_answer(record, number))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{found[0]}, line {number}: no answer as llm-jp-judge writes them ({error!r})"
            ) from error
    return found[0], model, answers


def write_answers(
    folder: epath.Path,
    benchmark: str,
    model: str,
    questions: Sequence[Question],
    answers: Sequence[Answer],
) -> None:
    """Writes the folder as version 2 does; of several answers to a question the first alone."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{to_json(line)}\n" for line in _lines(questions, answers))
    write_whole_file(folder / f"{benchmark}.jsonl", lines)
    write_whole_file(folder / METADATA, to_json({"model_name": model}, indent=4))


def _answer(record: Mapping[str, Any], number: int) -> Answer:
    errors = record.get("error_messages") or ()
    return Answer(
        # Its first version numbers nothing.
        question=str(record["ID"]) if "ID" in record else str(number),
        sample=0,
        turns=_list(record["response"]),
        errors=tuple(
            str(message)
            for turn in errors
            for message in ([turn] if isinstance(turn, str) else turn)
        ),
    )


def _lines(questions: Sequence[Question], answers: Sequence[Answer]) -> Iterator[dict[str, Any]]:
    by_id = {question.id: question for question in questions}
    for answer in answers:
        if answer.sample:
            continue
        question = by_id[answer.question]
        line: dict[str, Any] = {
            "ID": int(question.id) if question.id.isdecimal() else question.id,
            "prompt": list(question.turns),
            "response": list(answer.turns),
            "error_messages": [
                list(answer.errors) if turn is None else [] for turn in answer.turns
            ],
            "pattern": [None] * len(answer.turns),
            "text": list(question.turns),
        }
        if question.references:
            line["reference"] = list(question.references)
        if question.category:
            line["category"] = question.category
        yield line


def _list(value: Any) -> tuple[str | None, ...]:
    texts = [value] if value is None or isinstance(value, str) else list(value)
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError(f"{value!r} is no text for each turn")
    return tuple(texts)
