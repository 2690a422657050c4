"""Answers kept as they come, so that a run that is killed goes on where it was.

    FOLDER/000000.jsonl, 000001.jsonl, ...
    FOLDER/000000-0.jsonl, 000000-1.jsonl, ...    of several processes

A segment appears whole and is never changed; each line is one answer under a key that is made of
the request and of the model's fingerprint, so no other model or setting ever takes it. When all is
answered one segment is left that holds just these answers: the same requests again cost nothing.

Of several processes, which all come to the same answers, each keeps a share. At the next start all
of them know what any of them finds, on one disk or on disks of their own, in any number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

import jax
from etils import epath

from jaxllm.decode.jsonl import write_lines
from jaxllm.decode.requests import Completion, Request, Score, ScoreRequest
from jaxllm.parallel.agreement import gather, is_first_process, wait_for_all

_UPLOAD_SECONDS = 10.0
_SEGMENT = re.compile(r"\d+(-\d+)?$")

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
        written = _merged(dict(lines), self._keys)
        self.known: dict[int, Answer] = {
            index: kind(**written[key]) for index, key in enumerate(self._keys) if key in written
        }
        # Whether the folder holds just what is asked, and in one segment.
        is_settled = len(segments) == 1 and [key for key, _ in lines] == self._keys
        self._is_settled = gather(is_settled)[0]
        self._answers: dict[int, Answer] = dict(self.known)
        self._waiting: dict[int, Answer] = {}
        self._next = 1 + max((int(path.stem.partition("-")[0]) for path in segments), default=-1)
        self._written_at = time.monotonic()

    def add(self, answers: Mapping[int, Answer]) -> None:
        """Keeps new answers, by index into the requests."""
        self._answers |= answers
        self._waiting |= answers
        if time.monotonic() - self._written_at >= self._interval:
            self._write_share()

    def __enter__(self) -> Journal[Answer]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._write_share()
        elif not self._is_settled:
            self._settle()

    def _settle(self) -> None:
        """Leaves all answers in one segment, which the first process writes."""
        wait_for_all("answers are kept")
        segments = self._segments()
        wait_for_all("it is known what is old")
        if is_first_process():
            self._write(f"{self._next:06d}", dict(sorted(self._answers.items())))
        wait_for_all("answers are in one segment")
        for path in segments:
            path.unlink(missing_ok=True)  # on a common disk another process may be first

    def _write_share(self) -> None:
        """Writes what waits, of several processes what is this one's to keep."""
        count, number = jax.process_count(), jax.process_index()
        mine = {i: answer for i, answer in self._waiting.items() if i % count == number}
        if mine:
            self._write(f"{self._next:06d}" + (f"-{number}" if count > 1 else ""), mine)
        self._is_settled = self._is_settled and not self._waiting
        self._waiting = {}
        self._written_at = time.monotonic()

    def _write(self, name: str, answers: Mapping[int, Answer]) -> None:
        if answers:
            lines = (
                {"key": self._keys[index], **dataclasses.asdict(answer)}
                for index, answer in answers.items()
            )
            write_lines(self._folder / f"{name}.jsonl", lines)
            self._next += 1

    def _segments(self) -> list[epath.Path]:
        if not self._folder.exists():
            return []
        return sorted(path for path in self._folder.glob("*.jsonl") if _SEGMENT.match(path.stem))


def _merged(found: dict[str, dict[str, Any]], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What this process and the others found of what is asked."""
    asked = set(keys)
    mine = {key: fields for key, fields in found.items() if key in asked}
    digest = hashlib.sha256("".join(sorted(mine)).encode()).hexdigest()
    if len(set(gather(digest))) == 1:
        return mine
    merged: dict[str, dict[str, Any]] = {}
    for part in gather(mine):
        merged |= {key: _with_tuples(fields) for key, fields in part.items()}
    return merged


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
        yield key, _with_tuples(fields)


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
