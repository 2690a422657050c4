"""What an annotator sees and says: their own tasks and ratings, never whose answers these are."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from typing import Any

from jaxllm.annotation.answers import without_half_characters
from jaxllm.annotation.database import transaction
from jaxllm.annotation.scales import CANNOT_JUDGE, VALUES
from jaxllm.annotation.study import Annotator, Study, now

MAX_COMMENT = 5_000  # characters


class NoSuchTask(LookupError):
    """A position beyond the annotator's tasks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an annotator is; `next` is the first task with an axis unrated, None at the end."""

    total: int
    done: int
    next: int | None


def progress(study: Study, annotator: Annotator) -> Progress:
    """How far the annotator is."""
    with transaction(study.path) as database:
        return _progress(database, study, annotator)


def open_task(study: Study, annotator: Annotator, position: int) -> dict[str, Any]:
    """The conversation up to the turn to be rated, and what the annotator has said of it so far.

    `turns` holds for each turn its `messages`, the `answers` (one, or first and second) and the
    `reference`, if there is one. The time of the first look is kept. Raises NoSuchTask.
    """
    with transaction(study.path, write=True) as database:
        task = _task(database, annotator, position)
        key = annotator.id, position
        if task["opened_at"] is None:
            database.execute(
                "UPDATE tasks SET opened_at = ? WHERE annotator = ? AND position = ?", (now(), *key)
            )
        question = database.execute(
            "SELECT turns, reference FROM questions WHERE id = ?", (task["question"],)
        ).fetchone()
        shown = [
            json.loads(
                database.execute("SELECT turns FROM answers WHERE id = ?", (id,)).fetchone()[0]
            )
            for id in (task["first_answer"], task["second_answer"])
            if id is not None
        ]
        ratings = database.execute(
            "SELECT axis, value FROM ratings WHERE annotator = ? AND position = ?", key
        ).fetchall()
    references = json.loads(question["reference"])
    return {
        "position": position,
        "turns": [
            {
                "messages": [
                    {"role": message["role"], "content": message["content"]} for message in messages
                ],
                "answers": [turns[index] for turns in shown],
                "reference": references[index] if index < len(references) else "",
            }
            for index, messages in enumerate(json.loads(question["turns"])[: task["turn"]])
        ],
        "ratings": {row["axis"]: row["value"] for row in ratings},
        "comment": task["comment"],
    }


def rate(study: Study, annotator: Annotator, position: int, axis: str, value: str) -> Progress:
    """Keeps one rating, in place of an earlier one; it is on the disk when this returns.

    Raises NoSuchTask, and ValueError for an axis or a value that the study does not have.
    """
    if axis not in study.settings.axes:
        raise ValueError(f"no axis {axis!r}")
    if value not in (*VALUES[study.settings.kind], CANNOT_JUDGE):
        raise ValueError(f"no value {value!r}")
    with transaction(study.path, write=True) as database:
        _task(database, annotator, position)
        database.execute(
            "INSERT INTO ratings VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET value = excluded.value, rated_at = excluded.rated_at",
            (annotator.id, position, axis, value, now()),
        )
        return _progress(database, study, annotator)


def comment(study: Study, annotator: Annotator, position: int, text: str) -> Progress:
    """Keeps the comment on a task, in place of an earlier one; on the disk when this returns.

    Raises NoSuchTask, and ValueError for a comment of more than `MAX_COMMENT` characters.
    """
    if len(text) > MAX_COMMENT:
        raise ValueError(f"a comment has at most {MAX_COMMENT} characters")
    with transaction(study.path, write=True) as database:
        _task(database, annotator, position)
        database.execute(
            "UPDATE tasks SET comment = ?, commented_at = ? WHERE annotator = ? AND position = ?",
            (without_half_characters(text), now(), annotator.id, position),
        )
        return _progress(database, study, annotator)


def _task(database: sqlite3.Connection, annotator: Annotator, position: int) -> sqlite3.Row:
    row = database.execute(
        "SELECT * FROM tasks WHERE annotator = ? AND position = ?", (annotator.id, position)
    ).fetchone()
    if row is None:
        raise NoSuchTask(position)
    return row


def _progress(database: sqlite3.Connection, study: Study, annotator: Annotator) -> Progress:
    total, done, following = database.execute(
        """SELECT COUNT(*), COUNT(complete.position),
             MIN(CASE WHEN complete.position IS NULL THEN tasks.position END)
           FROM tasks LEFT JOIN (
             SELECT position FROM ratings WHERE annotator = :annotator
             GROUP BY position HAVING COUNT(*) = :axes) AS complete
           ON complete.position = tasks.position
           WHERE annotator = :annotator""",
        {"annotator": annotator.id, "axes": len(study.settings.axes)},
    ).fetchone()
    return Progress(total=total, done=done, next=following)
