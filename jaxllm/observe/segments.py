"""JSON rows that a run appends to a folder: one numbered JSONL segment for each start of it.

A segment is never touched again once its process has ended: a killed run loses at most the row
that it was writing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, TextIO

from etils import epath

from jaxllm.errors import UserError

_UPLOAD_SECONDS = 30.0


class Segment:
    """A new segment of a folder, made with its first row; one process of a run has one.

    Rows reach a local disk as they come. A remote folder (`gs://`) knows no append: there the
    segment is written whole at most every 30 seconds, and at `close`.
    """

    def __init__(self, folder: epath.PathLike) -> None:
        self._folder = epath.Path(folder)
        self._remote = "://" in str(self._folder)
        self._path: epath.Path | None = None
        self._file: TextIO | None = None
        self._rows: list[str] = []
        self._uploaded = time.monotonic()

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row."""
        if self._path is None:
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
        number = 1 + max((int(path.stem) for path in segments(self._folder)), default=-1)
        self._path = self._folder / f"{number:06d}.jsonl"
        if not self._remote:
            # "x": a second run in this folder must fail here, not mix its rows with ours.
            self._file = open(self._path, "x", buffering=1, encoding="utf-8")  # noqa: SIM115

    def _upload(self) -> None:
        assert self._path is not None
        self._path.write_text("".join(self._rows))
        self._uploaded = time.monotonic()


def segments(folder: epath.PathLike) -> list[epath.Path]:
    """The segments of a folder in the order in which they were begun."""
    # On an object store a folder without files does not exist, and cannot be listed.
    found = epath.Path(folder).glob("*.jsonl")
    return sorted(path for path in found if path.stem.isdigit())


def read_segment(path: epath.Path, *, key: str) -> list[dict[str, Any]]:
    """The rows of a segment; each has the field `key`.

    A last line cut off by a kill is left out; any other unreadable line is a `UserError`.
    """
    lines = path.read_text().split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            row[key]
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):  # no newline after it: the process was killed in this write
                break
            raise UserError(
                f"{path}, line {number} is no row with {key!r}: {line[:80]!r}"
            ) from error
        rows.append(row)
    return rows
