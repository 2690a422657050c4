"""Answers kept as they come, so that a run that is killed goes on where it was.

    FOLDER/000000.jsonl, 000001.jsonl, ...

A segment appears whole and is never changed; each line is one answer under a key that is made of
the request and of the model's fingerprint, so no other model or setting ever takes it. When all is
answered one segment is left that holds just these answers: the same requests again cost nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from etils import epath

from jaxllm.decode.jsonl import write_lines
from jaxllm.decode.requests import Completion, Request, Score, ScoreRequest

_UPLOAD_SECONDS = 10.0

Answer = TypeVar("Answer", Completion, Score)


class Journal(Generic[Answer]):
    """The answers to `requests`, by index: `known` those of earlier starts, `add` for new ones.

    On a local disk every `add` is a segment, so a kill loses only what was being computed. A remote
    folder (`gs://`) gets one at most every 10 seconds.
    """

    def __init__(
        self,
        folder: epath.Path,
        requests: Sequence[Request] | Sequence[ScoreRequest],
        kind: type[Answer],
        *,
        fingerprint: str,
    ) -> None:
        self.requests = requests
        self._folder = folder
        self._interval = _UPLOAD_SECONDS if "://" in str(folder) else 0.0
        self._keys = [_key(request, fingerprint) for request in requests]
        names = {field.name for field in dataclasses.fields(kind)}
        segments = self._segments()
        lines = [line for path in segments for line in _read(path) if line[1].keys() == names]
        written = dict(lines)
        self.known: dict[int, Answer] = {
            index: kind(**written[key]) for index, key in enumerate(self._keys) if key in written
        }
        # Whether the folder holds just what is asked, and in one segment.
        self._is_settled = len(segments) == 1 and [key for key, _ in lines] == self._keys
        self._answers: dict[int, Answer] = dict(self.known)
        self._waiting: dict[int, Answer] = {}
        self._next = 1 + max((int(path.stem) for path in segments), default=-1)
        self._written_at = time.monotonic()

    def add(self, answers: Mapping[int, Answer]) -> None:
        """Keeps new answers, by index into the requests."""
        self._answers |= answers
        self._waiting |= answers
        if time.monotonic() - self._written_at >= self._interval:
            self._write(self._waiting)

    def __enter__(self) -> Journal[Answer]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._write(self._waiting)
        elif not self._is_settled:
            segments = self._segments()
            self._write(dict(sorted(self._answers.items())))
            for path in segments:
                path.unlink()

    def _write(self, answers: Mapping[int, Answer]) -> None:
        if answers:
            lines = (
                {"key": self._keys[index], **dataclasses.asdict(answer)}
                for index, answer in answers.items()
            )
            write_lines(self._folder / f"{self._next:06d}.jsonl", lines)
            self._next += 1
            self._is_settled = False
        self._waiting = {}
        self._written_at = time.monotonic()

    def _segments(self) -> list[epath.Path]:
        if not self._folder.exists():
            return []
        return sorted(path for path in self._folder.glob("*.jsonl") if path.stem.isdigit())


def _key(request: Request | ScoreRequest, fingerprint: str) -> str:
    meaning = [fingerprint, type(request).__name__, dataclasses.asdict(request)]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _read(path: epath.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and fields of each answer of a segment but for lines that are damaged."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            fields = dict(json.loads(line))
            key = str(fields.pop("key"))
        except (ValueError, TypeError, KeyError):
            print(f"{path}, line {number} is damaged: asked again", file=sys.stderr)
            continue
        yield (
            key,
            {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in fields.items()
            },
        )
