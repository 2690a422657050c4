"""Scalars of a run: one numbered JSONL segment for each start of it.

`WORKDIR/metrics/000000.jsonl` holds the rows `{"step": 10, "time": 1.7e9, "loss": 2.5}` of the
first start, `000001.jsonl` those of the first resume, and so on. A segment is never touched again
once its process has ended. A resumed run goes back to its last checkpoint and writes some steps
again; the reader then believes the later segment.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, SupportsFloat, TextIO

from etils import epath

from jaxllm.errors import UserError

_FOLDER = "metrics"
_UPLOAD_SECONDS = 30.0


class Writer:
    """Writes the scalars of one start of a run into a new segment; one process of a run has one.

    Rows reach a local disk as they come. A remote folder (`gs://`) knows no append: there the
    segment is written whole at most every 30 seconds, and at `close`.
    """

    def __init__(self, workdir: epath.PathLike) -> None:
        self._folder = epath.Path(workdir) / _FOLDER
        self._remote = "://" in str(self._folder)
        self._segment: epath.Path | None = None
        self._file: TextIO | None = None
        self._rows: list[str] = []
        self._uploaded = time.monotonic()

    def scalars(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Writes one row; values are numbers, or arrays of one (which wait for the device).

        One that is not finite is written as null.
        """
        row: dict[str, Any] = {"step": int(step), "time": round(time.time(), 3)}
        row |= {name: _json_number(value) for name, value in values.items()}
        if self._segment is None:
            self._open()
        line = json.dumps(row) + "\n"
        if self._file is not None:
            self._file.write(line)  # line-buffered: a kill loses at most the row being written
            return
        self._rows.append(line)
        if time.monotonic() - self._uploaded >= _UPLOAD_SECONDS:
            self._upload()

    def close(self) -> None:
        """Ends the segment; a remote one is written whole once more."""
        if self._file is not None:
            self._file.close()
        elif self._rows:
            self._upload()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.stem) for path in _segments(self._folder)), default=-1)
        self._segment = self._folder / f"{number:06d}.jsonl"
        if not self._remote:
            # "x": a second run in this folder must fail here, not mix its rows with ours.
            self._file = open(self._segment, "x", buffering=1, encoding="utf-8")  # noqa: SIM115

    def _upload(self) -> None:
        assert self._segment is not None
        self._segment.write_text("".join(self._rows))
        self._uploaded = time.monotonic()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_scalars(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """All scalars of a run, one dict a step (`step`, `time` and the values), steps ascending.

    What a later start wrote wins: rows of earlier segments beyond its first step are dropped, and
    at the same step its values replace theirs. A last line cut off by a kill is left out; any other
    unreadable line is a `UserError`. A run without scalars gives an empty list.
    """
    folder = epath.Path(workdir) / _FOLDER
    by_step: dict[int, dict[str, Any]] = {}
    for path in sorted(_segments(folder)):
        rows = _read_segment(path)
        if rows:
            first = rows[0]["step"]
            by_step = {step: row for step, row in by_step.items() if step <= first}
        for row in rows:
            by_step.setdefault(row["step"], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


def _json_number(value: SupportsFloat) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None  # JSON has no NaN


def _segments(folder: epath.Path) -> list[epath.Path]:
    # On an object store a folder without files does not exist, and cannot be listed.
    return [path for path in folder.glob("*.jsonl") if path.stem.isdigit()]


def _read_segment(path: epath.Path) -> list[dict[str, Any]]:
    lines = path.read_text().split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            row["step"]
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):  # no newline after it: the process was killed in this write
                break
            raise UserError(f"{path}, line {number} is no row of scalars: {line[:80]!r}") from error
        rows.append(row)
    return rows
