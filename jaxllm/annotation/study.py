"""A study: a folder whose SQLite file holds questions, answers, annotators, orders and ratings."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxllm.annotation.answers import Answers, Question
from jaxllm.annotation.codes import hash_code, new_code
from jaxllm.annotation.database import FORMAT, SCHEMA, transaction
from jaxllm.annotation.order import conversations, shuffled
from jaxllm.annotation.scales import AXES, Kind
from jaxllm.errors import UserError

_FILE = "study.sqlite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a study asks.

    Attributes:
      instructions: text of the study's own, shown above the built-in instructions.
      baseline: in a pairwise study the model that stands in every pair; empty: all pairs.
      seed: of the annotators' orders.
    """

    kind: Kind
    axes: tuple[str, ...]
    title: str = ""
    instructions: str = ""
    baseline: str = ""
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotator:
    """One who has logged in. A new code has a new number, which ends the old one's sessions."""

    id: int
    name: str
    code_number: int


def now() -> str:
    """The time in UTC, as it stands in the file and in exports."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def create_study(
    folder: str | os.PathLike[str],
    settings: Settings,
    questions: Sequence[Question],
    answers: Sequence[Answers],
    *,
    references: Mapping[str, Sequence[str]] | None = None,
) -> Study:
    """Writes a new study, whole or not at all.

    Args:
      references: by question, texts for its turns that annotators may look at.

    Raises:
        UserError: there is a study already, or questions and answers do not fit one another.
    """
    _check(settings, questions, answers)
    path = _path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Names and ratings are nobody else's business: SQLite's other files take this one's mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    with transaction(path, write=True) as database:
        if database.execute("PRAGMA user_version").fetchone()[0]:
            raise UserError(f"{path} holds a study already; choose another folder")
        for statement in SCHEMA:
            database.execute(statement)
        database.execute(
            "INSERT INTO study VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                settings.kind,
                json.dumps(settings.axes),
                settings.title,
                settings.instructions,
                settings.baseline,
                settings.seed,
                secrets.token_hex(4),
                secrets.token_hex(32),
                secrets.token_bytes(16),
                now(),
            ),
        )
        for question in questions:
            turns = [[dataclasses.asdict(message) for message in turn] for turn in question.turns]
            reference = json.dumps((references or {}).get(question.id, ()))
            row = (question.id, json.dumps(turns), reference)
            database.execute("INSERT INTO questions VALUES (?, ?, ?)", row)
        database.executemany(
            "INSERT INTO answers (question, model, turns) VALUES (?, ?, ?)",
            [
                (key, given.model, json.dumps(turns))
                for given in answers
                for key, turns in given.turns.items()
            ],
        )
        database.execute(f"PRAGMA user_version = {FORMAT}")
    return Study(folder)


class Study:
    """A study that stands; every method is a transaction of its own.

    Raises UserError where there is none, or one of another version.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = _path(folder)
        if not self.path.is_file():
            raise UserError(f"there is no study in {folder}; `jaxllm annotate new` makes one")
        with transaction(self.path) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            row = version == FORMAT and database.execute("SELECT * FROM study").fetchone()
        if not row:
            raise UserError(f"{self.path} is no study of this version of jaxllm")
        self.settings = Settings(
            kind=row["kind"],
            axes=tuple(json.loads(row["axes"])),
            title=row["title"],
            instructions=row["instructions"],
            baseline=row["baseline"],
            seed=row["seed"],
        )
        self.id: str = row["id"]
        self.secret: str = row["secret"]
        self._salt: bytes = row["salt"]

    def add_annotator(self, name: str) -> str:
        """A login code for this name, which nothing keeps; one who has one gets another instead.

        A new annotator is given an order of all tasks. Raises UserError for an empty name.
        """
        if not name.strip():
            raise UserError("an annotator needs a name")
        code = new_code()
        code_hash = hash_code(code, self._salt)
        with transaction(self.path, write=True) as database:
            changed = database.execute(
                "UPDATE annotators SET code_hash = ?, code_number = code_number + 1 WHERE name = ?",
                (code_hash, name),
            )
            if not changed.rowcount:
                added = database.execute(
                    "INSERT INTO annotators (name, code_hash, code_number) VALUES (?, ?, 0)",
                    (name, code_hash),
                )
                database.executemany(
                    "INSERT INTO tasks (annotator, position, question, turn, first_answer,"
                    " second_answer) VALUES (?, ?, ?, ?, ?, ?)",
                    self._tasks(database, added.lastrowid, name),
                )
        return code

    def log_in(self, code: str) -> Annotator | None:
        """The annotator whose code this is."""
        return self._annotator("code_hash = ?", hash_code(code, self._salt))

    def annotator(self, id: int, code_number: int) -> Annotator | None:
        """The annotator of a session, unless a newer code has ended it."""
        return self._annotator("id = ? AND code_number = ?", id, code_number)

    def _annotator(self, where: str, *values: Any) -> Annotator | None:
        with transaction(self.path) as database:
            row = database.execute(
                f"SELECT id, name, code_number FROM annotators WHERE {where}", values
            ).fetchone()
        return Annotator(**row) if row else None

    def _tasks(
        self, database: sqlite3.Connection, annotator: int | None, name: str
    ) -> list[tuple[Any, ...]]:
        """The rows of a new annotator's tasks, turns of one conversation side by side."""
        ids: dict[tuple[str, str], int] = {}
        num_turns: dict[tuple[str, str], int] = {}
        models: dict[str, list[str]] = {}
        for row in database.execute(
            "SELECT answers.id, question, model, answers.turns FROM answers"
            " JOIN questions ON questions.id = question ORDER BY questions.rowid, answers.id"
        ):
            key = row["question"], row["model"]
            ids[key], num_turns[key] = row["id"], len(json.loads(row["turns"]))
            models.setdefault(row["question"], []).append(row["model"])
        every = conversations(self.settings.kind, models, baseline=self.settings.baseline)
        shown = [
            (conversation, turn)
            for conversation in shuffled(every, seed=f"{self.settings.seed} {name}")
            for turn in range(
                min(num_turns[conversation.question, model] for model in conversation.models)
            )
        ]
        rows = []
        for position, (conversation, turn) in enumerate(shown, start=1):
            answers = [ids[conversation.question, model] for model in conversation.models]
            second = answers[1] if len(answers) == 2 else None
            rows.append((annotator, position, conversation.question, turn + 1, answers[0], second))
        return rows


def _path(folder: str | os.PathLike[str]) -> Path:
    if "://" in os.fspath(folder):
        raise UserError(f"{folder}: a study is an SQLite file and needs a local disk")
    return Path(folder).expanduser() / _FILE


def _check(settings: Settings, questions: Sequence[Question], answers: Sequence[Answers]) -> None:
    unknown = [axis for axis in settings.axes if axis not in AXES]
    if unknown or not settings.axes or len(set(settings.axes)) < len(settings.axes):
        what = f"there is no axis {unknown[0]!r}" if unknown else "name each axis once"
        raise UserError(f"{what}; the axes are {', '.join(AXES)}")
    models = [given.model for given in answers]
    for model in models:
        if models.count(model) > 1:
            raise UserError(f"two files of answers are named {model!r}: say --answers=NAME=FILE")
    if settings.kind == "pairwise" and len(models) < 2:
        raise UserError("a pairwise study compares models: give --answers at least twice")
    if settings.baseline and settings.kind != "pairwise":
        raise UserError("a baseline stands in every pair: it needs --kind=pairwise")
    if settings.baseline and settings.baseline not in models:
        raise UserError(f"no answers of {settings.baseline!r}; there are {', '.join(models)}")
    num_turns = {question.id: len(question.turns) for question in questions}
    for given in answers:
        for key, turns in given.turns.items():
            if key not in num_turns:
                raise UserError(f"{given.model} answers a question {key} that was not given")
            if len(turns) > num_turns[key]:
                raise UserError(
                    f"{given.model} answers question {key} in {len(turns)} turns, and it has"
                    f" {num_turns[key]}"
                )
