"""Results in SQLite, for questions in SQL; made anew from the files, which stay the truth.

    runs       one row a result: run, folder, suite, split, num_shots, model, role, kind, step,
               tokens, num_params, weights_digest, code_version, lineage (JSON), config (JSON),
               average_name, average, average_low, average_high, is_whole (1: nothing is missing)
    scores     one row a category and one a metric of a task: run, level ('category' or 'task'),
               name, category, metric, is_headline, mean, low, high, maximum, num_samples, missing
               (why there is no score)
    samples    one row a sample: run, task, sample, score (of the headline, as a share of the best),
               prompt, output, prediction, gold
    left_out   one row a folder or file that could not be read: reason

`run` joins them. Means of categories and averages are shares of the best there is, those of tasks
are on their metric's scale (`maximum`).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxllm.errors import UserError
from jaxllm.reporting.boards import role_of
from jaxllm.reporting.grid import MISSING, Grid
from jaxllm.reporting.readers import Material
from jaxllm.reporting.results import Result, read_samples

_SCHEMA = """
create table runs (
  run integer primary key, folder text, suite text, split text, num_shots integer, model text,
  role text, kind text, step integer, tokens integer, num_params integer, weights_digest text,
  code_version text, lineage text, config text, average_name text, average real, average_low real,
  average_high real, is_whole integer
);
create table scores (
  run integer references runs, level text, name text, category text, metric text,
  is_headline integer, mean real, low real, high real, maximum real, num_samples integer,
  missing text
);
create table samples (
  run integer references runs, task text, sample text, score real, prompt text, output text,
  prediction text, gold text
);
create table left_out (reason text);
"""
_INDICES = """
create index samples_by_task on samples (task, sample);
create index scores_by_name on scores (name);
"""


def build_store(material: Material, path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """A database of everything that was read, in a file (replaced when it is whole) or in memory.

    Raises UserError where the file cannot be written, or is no database of this kind.
    """
    if path is None:
        connection = sqlite3.connect(":memory:")
        _fill(connection, material)
        return connection
    path = Path(path)
    if path.exists():
        open_store(path).close()  # never replace a file that is not ours
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(unfinished)) as connection:
            _fill(connection, material)
        unfinished.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"cannot write {path}: {error}") from error
    return open_store(path)


def open_store(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A database that `build_store` made, to be read; raises UserError for anything else."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no {path}; name results too, and it is made of them")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
    except sqlite3.Error as error:
        connection.close()
        raise UserError(f"{path} is no database of results: {error}") from error
    if not tables >= {"runs", "scores", "samples", "left_out"}:
        connection.close()
        raise UserError(f"{path} is no database of results: it lacks their tables")
    return connection


def query(connection: sqlite3.Connection, sql: str) -> Grid:
    """The answer to a SQL question, which can change nothing; raises UserError for a wrong one."""
    connection.execute("pragma query_only = on")
    try:
        cursor = connection.execute(sql)
        rows = cursor.fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise UserError(
            f"--sql: {error}; the tables are runs, scores, samples and left_out, and "
            "`select sql from sqlite_master` shows their columns"
        ) from error
    columns = tuple(name for name, *_ in cursor.description or ())
    return Grid(
        title=" ".join(sql.split()),
        columns=columns,
        rows=tuple(tuple(map(_shown, row)) for row in rows),
        records=tuple(dict(zip(columns, row, strict=True)) for row in rows),
        is_text=True,
    )


def _fill(connection: sqlite3.Connection, material: Material) -> None:
    with connection:
        connection.executescript(_SCHEMA)
        for number, result in enumerate(material.results, start=1):
            _insert(connection, "runs", [_run(number, result)])
            _insert(connection, "scores", _scores(number, result))
            for task in result.tasks:
                _insert(connection, "samples", _samples(number, result, task))
        _insert(connection, "left_out", ((reason,) for reason in material.left_out))
        connection.executescript(_INDICES)


def _insert(connection: sqlite3.Connection, table: str, rows: Any) -> None:
    (columns,) = connection.execute("select count(*) from pragma_table_info(?)", [table]).fetchone()
    marks = ", ".join("?" * columns)
    connection.executemany(f"insert into {table} values ({marks})", rows)


def _run(number: int, result: Result) -> tuple[Any, ...]:
    record, average = result.record, result.average
    model, low_high = record["model"], average.get("interval") or (None, None)
    shots = {task.get("num_shots") for task in result.tasks.values()} or {record.get("num_shots")}
    lineage = model.get("lineage")
    return (
        *(number, str(result.folder), record["suite"], record["split"]),
        *(next(iter(shots)) if len(shots) == 1 else None, model["name"], role_of(result)),
        *(record["run"]["kind"], result.step, record["run"].get("tokens")),
        *(model.get("num_params"), model.get("weights_digest"), record.get("code_version")),
        *(None if lineage is None else _json(lineage), _json(record.get("config"))),
        *(average.get("name"), average.get("mean"), *low_high),
        int(not average.get("missing") and not average.get("missing_tasks")),
    )


def _scores(number: int, result: Result) -> Iterator[tuple[Any, ...]]:
    for name, measured in result.categories.items():
        low, high = measured.get("interval") or (None, None)
        count = sum(
            task["num_samples"]
            for task_name, task in result.tasks.items()
            if result.category_of(task_name) == name
        )
        yield (
            *(number, "category", name, name, None, None),
            *(measured["mean"], low, high, 1.0, count or None, None),
        )
    for name, task in result.tasks.items():
        for metric, measured in task["metrics"].items():
            low, high = measured.get("interval") or (None, None)
            yield (
                *(number, "task", name, task["category"], metric, int(metric == task["headline"])),
                *(measured.get("mean"), low, high, measured.get("maximum", 1.0)),
                *(task["num_samples"], measured.get("missing")),
            )


def _samples(number: int, result: Result, task: str) -> Iterator[tuple[Any, ...]]:
    scores = result.headline_scores.get(task, {})
    for sample in read_samples(result, task):
        texts = (sample[name] for name in ("prompt", "output", "prediction", "gold"))
        yield (number, task, sample["id"], scores.get(sample["id"]), *map(_text, texts))


def _text(text: str) -> str:
    """Text that UTF-8 can hold: a model may end one in half a surrogate pair."""
    return text.encode("utf-8", errors="replace").decode()


def _json(value: Any) -> str:
    return _text(json.dumps(value, ensure_ascii=False))


def _shown(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
