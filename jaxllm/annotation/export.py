"""A study's ratings as records, JSONL and CSV: one for each task that anything was said of.

    {"kind": "rating", "study": ..., "question_id": "1", "turn": 1, "annotator": "aiko",
     "position": 7, "model": "sft", "ratings": {"overall": 4, "fluency": null}, "comment": "",
     "opened_at": ..., "rated_at": ...}

`position` is the place in the annotator's own order. A rating is 1 to 5, or null where the
annotator could not judge; an axis that is not rated yet is missing. A pairwise record has `model_a`
and `model_b`, in the places they were shown, for `model`, and the ratings are "a", "b", "tie" or
null. Times are UTC: of the first look, and of the last rating.
"""

from __future__ import annotations

import csv
import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxllm.annotation.database import transaction
from jaxllm.annotation.scales import AXES, CANNOT_JUDGE, VALUES
from jaxllm.annotation.study import Study
from jaxllm.errors import UserError

_NOT_JUDGED = "NA"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export_records(study: Study) -> list[dict[str, Any]]:
    """What has been rated or commented on so far, by annotator and position."""
    with transaction(study.path) as database:
        tasks = database.execute(
            """SELECT tasks.*, annotators.name, first.model AS model_a, second.model AS model_b
               FROM tasks JOIN annotators ON annotators.id = tasks.annotator
               JOIN answers AS first ON first.id = first_answer
               LEFT JOIN answers AS second ON second.id = second_answer
               ORDER BY annotators.name, position"""
        ).fetchall()
        ratings: dict[tuple[int, int], dict[str, str]] = {}
        rated_at: dict[tuple[int, int], str] = {}
        for row in database.execute("SELECT * FROM ratings ORDER BY rated_at"):
            key = row["annotator"], row["position"]
            ratings.setdefault(key, {})[row["axis"]] = row["value"]
            rated_at[key] = row["rated_at"]
    is_pairwise = study.settings.kind == "pairwise"
    records = []
    for task in tasks:
        key = task["annotator"], task["position"]
        if key not in ratings and not task["comment"]:
            continue
        given = ratings.get(key, {})
        models = (
            {"model_a": task["model_a"], "model_b": task["model_b"]}
            if is_pairwise
            else {"model": task["model_a"]}
        )
        records.append(
            {
                "kind": study.settings.kind,
                "study": study.settings.title or study.id,
                "question_id": task["question"],
                "turn": task["turn"],
                "annotator": task["name"],
                "position": task["position"],
                **models,
                "ratings": {
                    axis: _rating(given[axis], is_pairwise)
                    for axis in study.settings.axes
                    if axis in given
                },
                "comment": task["comment"],
                "opened_at": task["opened_at"],
                "rated_at": rated_at.get(key),
            }
        )
    return records


def write_export(path: str | os.PathLike[str], records: Sequence[dict[str, Any]]) -> None:
    """Writes records as `.jsonl`, or as `.csv` for a spreadsheet; whole or not at all.

    In the CSV each axis is a column, "NA" says that the annotator could not judge, and texts that a
    spreadsheet would run as a formula get an apostrophe before them: JSONL has them as they are.
    """
    path = Path(path).expanduser()
    if path.suffix not in (".jsonl", ".csv"):
        raise UserError(f"{path}: an export is a .jsonl or a .csv file")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            _write_csv(unfinished, records)
        else:
            lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
            unfinished.write_text("".join(lines), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def read_export(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a JSONL file that `write_export` wrote, or of several put together."""
    records = []
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            _check(record)
        except (ValueError, TypeError, LookupError) as error:
            raise UserError(
                f"{path}, line {number}: not a line of `jaxllm annotate export`"
            ) from error
        records.append(record)
    return records


def _check(record: dict[str, Any]) -> None:
    """Raises ValueError, TypeError or LookupError for what is no record of an export."""
    models = {"rating": ("model",), "pairwise": ("model_a", "model_b")}[record["kind"]]
    texts = [record[field] for field in ("question_id", "annotator", *models)]
    times = [record[field] for field in ("opened_at", "rated_at")]
    given = [_rating(value, record["kind"] == "pairwise") for value in VALUES[record["kind"]]]
    if not (
        all(isinstance(text, str) for text in texts)
        and isinstance(record["turn"], int)
        and all(time is None or datetime.datetime.fromisoformat(time) for time in times)
        and set(record["ratings"]) <= set(AXES)
        and all(rating in (*given, None) for rating in record["ratings"].values())
    ):
        raise ValueError


def _rating(value: str, is_pairwise: bool) -> str | int | None:
    if value == CANNOT_JUDGE:
        return None
    return value if is_pairwise else int(value)


def _write_csv(path: Path, records: Sequence[dict[str, Any]]) -> None:
    axes = [axis for axis in AXES if any(axis in record["ratings"] for record in records)]
    fields = list(dict.fromkeys(field for record in records for field in record))
    columns = [name for field in fields for name in (axes if field == "ratings" else [field])]
    # The mark by which Excel knows UTF-8: without it Japanese is garbled.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for record in records:
            row = {field: _cell(value) for field, value in record.items() if field != "ratings"}
            for axis, value in record["ratings"].items():
                row[axis] = _NOT_JUDGED if value is None else value
            writer.writerow(row)


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
