"""A study's SQLite file: its tables, and transactions that are on the disk when they end."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from jaxllm.errors import UserError

FORMAT = 1  # PRAGMA user_version of a file that is whole
_BUSY_SECONDS = 30.0

SCHEMA = (
    """CREATE TABLE study (
      kind TEXT NOT NULL, axes TEXT NOT NULL, title TEXT NOT NULL, instructions TEXT NOT NULL,
      baseline TEXT NOT NULL, seed INTEGER NOT NULL, id TEXT NOT NULL, secret TEXT NOT NULL,
      salt BLOB NOT NULL, made_at TEXT NOT NULL)""",
    "CREATE TABLE questions (id TEXT PRIMARY KEY, turns TEXT NOT NULL, reference TEXT NOT NULL)",
    """CREATE TABLE answers (
      id INTEGER PRIMARY KEY, question TEXT NOT NULL REFERENCES questions, model TEXT NOT NULL,
      turns TEXT NOT NULL, UNIQUE (question, model))""",
    """CREATE TABLE annotators (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, code_hash BLOB NOT NULL UNIQUE,
      code_number INTEGER NOT NULL)""",
    # What an annotator is shown, in this order; `second_answer` is NULL where one answer is rated.
    """CREATE TABLE tasks (
      annotator INTEGER NOT NULL REFERENCES annotators, position INTEGER NOT NULL,
      question TEXT NOT NULL REFERENCES questions, turn INTEGER NOT NULL,
      first_answer INTEGER NOT NULL REFERENCES answers,
      second_answer INTEGER REFERENCES answers,
      opened_at TEXT, comment TEXT NOT NULL DEFAULT '', commented_at TEXT,
      PRIMARY KEY (annotator, position))""",
    """CREATE TABLE ratings (
      annotator INTEGER NOT NULL, position INTEGER NOT NULL, axis TEXT NOT NULL,
      value TEXT NOT NULL, rated_at TEXT NOT NULL, PRIMARY KEY (annotator, position, axis),
      FOREIGN KEY (annotator, position) REFERENCES tasks)""",
)


@contextlib.contextmanager
def transaction(path: Path, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """All of what is written in it or nothing; once it has ended, a kill or power cut loses none.

    Raises UserError when the file cannot be opened or is no database.
    """
    with contextlib.closing(
        sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    ) as database:
        database.row_factory = sqlite3.Row
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path} is no study: {error}") from error
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
