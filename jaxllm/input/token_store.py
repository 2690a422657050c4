"""Tokens on disk: written as they come, read as if they were in memory, whole or not there at all.

A folder holds `ids`, `loss_weights` and `lengths` as plain arrays, and `about.json` with the digest
that they must have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource, TokenPart, joined_digest

_DTYPES = {"ids": "<i4", "loss_weights": "<f4", "lengths": "<i8"}
_ABOUT = "about.json"
_UNFINISHED = ".unfinished"
_STALE_SECONDS = 24 * 3600


def write_tokens(folder: epath.Path, parts: Iterable[TokenPart]) -> None:
    """Writes the parts one after another; `folder` appears when the last one stands in it.

    Raises:
      UserError: the disk is full, or nothing can be written there.
    """
    unfinished = folder.parent / f"{folder.name}-{uuid.uuid4().hex}{_UNFINISHED}"
    with contextlib.ExitStack() as stack:
        with _explained(folder.parent):
            _remove_stale(folder.parent)
            _remove(folder)  # it is damaged, or not there
            unfinished.mkdir(parents=True)
            stack.callback(_remove, unfinished)
            files = {name: (unfinished / name).open("wb") for name in _DTYPES}
        for file in files.values():
            stack.callback(_close, file)
        digests = {name: hashlib.sha256() for name in _DTYPES}
        counts = TokenizeCounts(read=0, kept=0, truncated=0, dropped_long=0, dropped_untrained=0)
        example_ids: list[str] = []
        for part in parts:
            counts += part.counts
            example_ids += part.example_ids
            with _explained(folder.parent):
                for name, dtype in _DTYPES.items():
                    data = np.ascontiguousarray(getattr(part, name), dtype).data
                    digests[name].update(data)
                    files[name].write(data)
        about = {
            "digest": joined_digest(digests.values()),
            "counts": dataclasses.asdict(counts),
            "example_ids": example_ids,
        }
        with _explained(folder.parent):
            for file in files.values():
                file.close()
            (unfinished / _ABOUT).write_text(json.dumps(about))
            try:
                unfinished.rename(folder)
            except OSError:
                # Another process has written the same tokens meanwhile, and may be reading them.
                if not (folder / _ABOUT).exists():
                    raise


def read_tokens(
    folder: epath.Path, *, name: str, origin: Mapping[str, Any]
) -> TokenizedSource | None:
    """Returns what `write_tokens` wrote there; None where it is missing or damaged."""
    try:
        about = json.loads((folder / _ABOUT).read_text())
        arrays = {field: _array(folder / field, dtype) for field, dtype in _DTYPES.items()}
        source = TokenizedSource(
            name=name,
            ids=arrays["ids"],
            loss_weights=arrays["loss_weights"],
            offsets=np.concatenate([[0], np.cumsum(arrays["lengths"])]),
            example_ids=tuple(about["example_ids"]),
            counts=TokenizeCounts(**about["counts"]),
            origin=origin,
        )
        return source if source.digest == about["digest"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _array(path: epath.Path, dtype: str) -> np.ndarray:
    if "://" in os.fspath(path):
        return np.frombuffer(path.read_bytes(), dtype)
    return np.asarray(np.memmap(os.fspath(path), dtype, mode="r"))  # pages come as they are used


@contextlib.contextmanager
def _explained(cache: epath.Path) -> Iterator[None]:
    elsewhere = "or name another folder with --config.data_dir or JAXLLM_DATA_DIR"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk of {cache} is full, so that no tokens can be kept there: free space, "
                f"{elsewhere}"
            ) from error
        raise UserError(
            f"tokens cannot be kept in {cache} ({error}): make it writable, {elsewhere}"
        ) from error


def _close(file: IO[bytes]) -> None:
    """Closes a file of which nothing is wanted any more, be it that its last bytes find no room."""
    with contextlib.suppress(OSError):
        file.close()


def _remove_stale(cache: epath.Path) -> None:
    """Removes what writers that were killed long ago left behind."""
    for path in cache.glob(f"tokens-*{_UNFINISHED}"):
        with contextlib.suppress(OSError):  # another process removes it too
            if time.time() - path.stat().mtime > _STALE_SECONDS:
                _remove(path)


def _remove(folder: epath.Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        folder.rmtree()
