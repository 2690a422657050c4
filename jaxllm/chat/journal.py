"""Every answered call, kept the moment it is answered: a paid call is never made twice.

    FOLDER/calls.sqlite

A row's key is made of the model's identity, the request's id, its messages and its settings. A kill
loses the calls that were under way and nothing else; the same requests again cost nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from etils import epath

from jaxllm.chat.messages import ChatReply, ChatRequest, Usage, canonical, messages_json
from jaxllm.errors import UserError

_FILE = "calls.sqlite"
_UPLOAD_SECONDS = 10.0
_BUSY_SECONDS = 60.0
_TABLE = """
CREATE TABLE IF NOT EXISTS calls (
  key TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt_sha256 TEXT NOT NULL,
  settings TEXT NOT NULL,
  text TEXT NOT NULL,
  finish_reason TEXT NOT NULL,
  logprobs TEXT,
  score TEXT,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  seconds REAL NOT NULL,
  made_at REAL NOT NULL
)
"""
_REPLY = "text, finish_reason, logprobs, prompt_tokens, completion_tokens, seconds, made_at"


class CallJournal:
    """The calls of one folder.

    SQLite with a write-ahead log needs a local disk: a remote folder (`gs://`) gets a copy of a
    local file, at most every 10 seconds, and at the end.

    Raises:
        UserError: what stands there is no journal.
    """

    def __init__(self, folder: epath.PathLike) -> None:
        self._place = epath.Path(folder) / _FILE
        self._remote = _is_remote(self._place)
        if self._remote:
            self._scratch = tempfile.TemporaryDirectory(prefix="jaxllm-journal-")
            self._local = Path(self._scratch.name) / _FILE
            if self._place.exists():
                self._local.write_bytes(self._place.read_bytes())
        else:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            self._local = Path(self._place)
        self._uploaded = time.monotonic()
        self._db = sqlite3.connect(self._local, timeout=_BUSY_SECONDS)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # A reply that was paid for is on the disk before it is believed.
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise UserError(
                f"{self._place} is no journal of calls ({error}); move it away to begin anew"
            ) from error

    def get(self, model: str, request: ChatRequest) -> ChatReply | None:
        """The reply this model gave to this request, if it was ever asked."""
        row = self._db.execute(
            f"SELECT {_REPLY} FROM calls WHERE key = ?", [_key(model, request)]
        ).fetchone()
        if row is None:
            return None
        text, finish_reason, logprobs, *numbers = row
        names = ("prompt_tokens", "completion_tokens", "seconds", "made_at")
        return ChatReply(
            text=text,
            finish_reason=finish_reason,
            logprobs=tuple(json.loads(logprobs)) if logprobs else (),
            **dict(zip(names, numbers, strict=True)),
        )

    def add(self, model: str, replies: Iterable[tuple[ChatRequest, ChatReply]]) -> None:
        """Keeps replies; those that are errors are no replies and are asked again."""
        rows = [
            (
                _key(model, request),
                request.id,
                model,
                hashlib.sha256(canonical(messages_json(request.messages)).encode()).hexdigest(),
                canonical(request.settings),
                # A model may end a text in half a surrogate pair, which UTF-8 cannot hold.
                reply.text.encode("utf-8", errors="replace").decode(),
                reply.finish_reason,
                json.dumps(reply.logprobs) if reply.logprobs else None,
                reply.prompt_tokens,
                reply.completion_tokens,
                reply.seconds,
                reply.made_at,
            )
            for request, reply in replies
            if not reply.error
        ]
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO calls (key, id, model, prompt_sha256, settings, "
                f"{_REPLY}) VALUES ({', '.join('?' * 12)})",
                rows,
            )
        if self._remote and time.monotonic() - self._uploaded >= _UPLOAD_SECONDS:
            self._upload()

    def set_scores(
        self, model: str, scores: Iterable[tuple[ChatRequest, Mapping[str, Any]]]
    ) -> None:
        """Writes beside each reply what was read out of it."""
        rows = [(canonical(dict(score)), _key(model, request)) for request, score in scores]
        with self._db:
            self._db.executemany("UPDATE calls SET score = ? WHERE key = ?", rows)

    def usage(self, model: str) -> Usage:
        """What all calls of a model have used; a count that it did not tell is left out."""
        row = self._db.execute(
            "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), count(*)"
            " FROM calls WHERE model = ?",
            [model],
        ).fetchone()
        return Usage(*row)

    def close(self) -> None:
        """Ends the journal; a remote one is written whole once more."""
        if self._remote:
            self._upload()
        self._db.close()
        if self._remote:
            self._scratch.cleanup()

    def __enter__(self) -> CallJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _upload(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._place.parent.mkdir(parents=True, exist_ok=True)
        partial = self._place.with_name(f".{_FILE}.unfinished")
        partial.write_bytes(self._local.read_bytes())
        partial.replace(self._place)
        self._uploaded = time.monotonic()


def _is_remote(place: epath.Path) -> bool:
    return "://" in os.fspath(place)


def _key(model: str, request: ChatRequest) -> str:
    meaning = [model, request.id, messages_json(request.messages), request.settings]
    return hashlib.sha256(canonical(meaning).encode()).hexdigest()
