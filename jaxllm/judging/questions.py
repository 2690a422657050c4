"""Questions from files: FastChat's and llm-jp-judge's forms, CSV, and JSONL of one's own."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.corpora import raw
from jaxllm.corpora.json_records import read_records
from jaxllm.errors import UserError
from jaxllm.judging.benchmark import Benchmark, Question

# The names by which each part of a question goes, the first that is there counts.
_IDS = ("question_id", "ID", "id")
_TURNS = ("turns", "text", "prompt", "question", "input")
_REFERENCES = ("reference", "references", "output")

_Record = Mapping[str, Any]


def read_questions(
    benchmark: Benchmark, *, raw_dir: str | None, data_dir: str, max_questions: int = -1
) -> tuple[list[Question], str]:
    """A benchmark's questions, and the sha256 of the data they come from.

    `max_questions` of them (-1: all) are spread evenly over the file, so that every category has
    its share.

    Raises:
        MissingData: a file is not here and cannot be downloaded.
        UserError: a file that holds something else.
    """
    digest = hashlib.sha256()
    if benchmark.questions is None:
        records: Sequence[_Record] = benchmark.inline
        digest.update(json.dumps(records, sort_keys=True).encode())
        where = benchmark.name
    else:
        path = _fetched(benchmark.questions, raw_dir, data_dir)
        records, where = _records(path), str(path)
        digest.update(path.read_bytes())
    references: dict[str, tuple[str, ...]] = {}
    if benchmark.references is not None:
        path = _fetched(benchmark.references, raw_dir, data_dir)
        references = _references(path)
        digest.update(path.read_bytes())
    questions = []
    for number, record in enumerate(records, start=1):
        try:
            questions.append(_question(benchmark, record, number, references))
        except UserError as error:
            raise UserError(f"{where}, question {number}: {error}") from error
    if not questions:
        raise UserError(f"{where} holds no question")
    if len({question.id for question in questions}) != len(questions):
        raise UserError(f"{where}: two questions have the same id")
    return spread(questions, max_questions), digest.hexdigest()


def read_prompt(benchmark: Benchmark, *, raw_dir: str | None, data_dir: str) -> str:
    """The text of a prompt that comes with the data; raises as `read_questions`."""
    assert benchmark.prompt_file is not None
    return _fetched(benchmark.prompt_file, raw_dir, data_dir).read_text(encoding="utf-8")


def spread(questions: Sequence[Question], count: int) -> list[Question]:
    """So many of the questions, at even distances; all of them where `count` is below 0."""
    total = len(questions)
    if not 0 <= count < total:
        return list(questions)
    return [questions[index * total // count] for index in range(count)]


def _fetched(file: raw.RawFile, raw_dir: str | None, data_dir: str) -> epath.Path:
    return raw.fetch(
        file,
        raw_dir=raw_dir,
        download_dir=epath.Path(data_dir) / "raw",
        progress=lambda *_: None,
    )


def _records(path: epath.Path) -> Sequence[_Record]:
    if path.suffix == ".csv":
        with raw.reading(path):
            rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
            return [{"id": str(number), **row} for number, row in enumerate(rows)]
    return read_records(path)


def _references(path: epath.Path) -> dict[str, tuple[str, ...]]:
    with raw.reading(path):
        return {
            str(record["question_id"]): tuple(record["choices"][0]["turns"])
            for record in read_records(path)
        }


def _question(
    benchmark: Benchmark,
    record: _Record,
    number: int,
    references: Mapping[str, tuple[str, ...]],
) -> Question:
    identity = str(_first(record, _IDS, number))
    turns = _texts(record, _TURNS)
    if "instruction" in record:
        turns = ("\n\n".join(filter(None, (*_texts(record, ("instruction",)), *turns))),)
    if not turns:
        raise UserError(f"it asks nothing: give it one of {', '.join(_TURNS)} and instruction")
    category = record.get(benchmark.category_field, "")
    if not isinstance(category, str):
        raise UserError(f"its category is {category!r}, not a text")
    own = references.get(identity, _texts(record, _REFERENCES))
    if benchmark.reference_categories and category not in benchmark.reference_categories:
        own = ()
    if own and len(own) != len(turns):
        raise UserError(f"it has {len(turns)} turns and {len(own)} references")
    return Question(
        id=identity,
        category=category,
        turns=turns,
        references=own,
        fields={name: value for name, value in record.items() if isinstance(value, str)},
    )


def _first(record: _Record, names: Sequence[str], default: Any) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), default)


def _texts(record: _Record, names: Sequence[str]) -> tuple[str, ...]:
    value = _first(record, names, ())
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{' or '.join(names)} must be a text, or a list of texts for each turn")
    return tuple(texts)
