"""Raw files of public corpora: pinned by URL and sha256, found on disk or downloaded."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable

from etils import epath

from jaxllm.errors import UserError

RAW_DIR_VARIABLE = "JAXLLM_RAW_DIR"
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawFile:
    """One file of an origin: its place below the raw folder, its pinned URL and its sha256."""

    path: str
    url: str
    sha256: str


def fetch(
    file: RawFile,
    *,
    raw_dir: str | os.PathLike | None,
    download_dir: epath.PathLike,
    progress: Callable[[str, int, int | None], None],
) -> epath.Path:
    """The path of a file that has the pinned sha256, downloaded if it is nowhere yet.

    Looked for below `raw_dir` (default: the environment variable JAXLLM_RAW_DIR), then below
    `download_dir`, where a download ends up. An interrupted download goes on where it stopped.
    Raises UserError on a file with another sha256 and when the download fails.
    """
    raw_dir = raw_dir or os.environ.get(RAW_DIR_VARIABLE)
    places = [epath.Path(folder) / file.path for folder in (raw_dir, download_dir) if folder]
    for place in places:
        if place.exists():
            _check(file, _sha256(place), str(place))
            return place
    part = _download(file, places[0], progress)
    target = places[-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f"{target.name}.{os.getpid()}.unfinished"
    unfinished.write_bytes(part.read_bytes())
    unfinished.rename(target)
    part.unlink()
    return target


def _download(
    file: RawFile, wanted_at: epath.Path, progress: Callable[[str, int, int | None], None]
) -> pathlib.Path:
    """A local file with the right digest; its name is the digest, so that a retry finds it."""
    part = pathlib.Path(tempfile.gettempdir()) / f"jaxllm-{file.sha256}.part"
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            if response.status != 206:  # The server sends the whole file again.
                done = 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else None
            with part.open("r+b" if done else "wb") as out:
                out.seek(done)
                while block := response.read(_BLOCK):
                    out.write(block)
                    done += len(block)
                    progress(f"download {file.path}", done, total)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the part already holds everything.
            raise _cannot_download(file, wanted_at, error) from error
    except OSError as error:
        raise _cannot_download(file, wanted_at, error) from error
    found = _sha256(part)
    if found != file.sha256:
        part.unlink()
    _check(file, found, file.url)
    return part


def _cannot_download(file: RawFile, wanted_at: epath.Path, error: Exception) -> UserError:
    return UserError(
        f"cannot download {file.url} ({error}); fetch it elsewhere and put it at {wanted_at}, or"
        f" give the folder that holds {file.path} as --raw_dir or {RAW_DIR_VARIABLE}"
    )


def _check(file: RawFile, found: str, where: str) -> None:
    if found != file.sha256:
        raise UserError(
            f"{where} has sha256 {found}, but {file.path} is pinned at {file.sha256}: it is"
            f" another version or damaged; remove it and get {file.url}"
        )


def _sha256(path: epath.Path | pathlib.Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
    return state.hexdigest()
