"""Raw files of public corpora: pinned by URL and sha256, found on disk or downloaded."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gzip
import hashlib
import http.client
import os
import pathlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator

from etils import epath

from jaxllm.errors import MissingData, UserError

RAW_DIR_VARIABLE = "JAXLLM_RAW_DIR"
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)

Progress = Callable[[str, int, int | None], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawFile:
    """One file of an origin: its place below the raw folder, its pinned URL and its sha256.

    Without a known `sha256` any file at that place is taken. Where nothing serves the file (a gated
    set, a dead link) `url` is empty and `by_hand` says how a person gets it.
    """

    path: str
    url: str = ""
    sha256: str = ""
    by_hand: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawFolder:
    """A folder of an origin that comes as one archive (.tar.gz, .tgz, .tar or .zip).

    `inside` is the folder of the archive that becomes `path`; `sha256` is the archive's, where it
    is known. An archive that lies unpacked at `path`, or packed beside it under its own suffix, is
    taken from the raw folder.
    """

    path: str
    url: str = ""
    sha256: str = ""
    inside: str = ""
    by_hand: str = ""
    suffix: str = ""

    @property
    def archive(self) -> RawFile:
        """The archive as a file: `path` with the suffix of its format."""
        suffix = self.suffix or next(end for end in _ARCHIVES if self.url.endswith(end))
        return RawFile(
            path=self.path + suffix, url=self.url, sha256=self.sha256, by_hand=self.by_hand
        )


def fetch(
    what: RawFile | RawFolder,
    *,
    raw_dir: str | os.PathLike | None,
    download_dir: epath.PathLike,
    progress: Progress,
) -> epath.Path:
    """The path of a file that has the pinned sha256, or of an unpacked folder.

    Looked for below `raw_dir` (default: the environment variable JAXLLM_RAW_DIR), then below
    `download_dir`, where a download ends up. An interrupted download goes on where it stopped.
    Raises MissingData when it is nowhere and cannot be downloaded, UserError on another sha256.
    """
    folders = _folders(raw_dir, download_dir)
    if isinstance(what, RawFile):
        return _fetch_file(what, folders, progress)
    for folder in folders:
        if (folder / what.path).is_dir():
            return folder / what.path
    archive = _fetch_file(what.archive, folders, progress)
    return _unpack(archive, what, folders[-1] / what.path)


def is_here(
    what: RawFile | RawFolder, *, raw_dir: str | os.PathLike | None, download_dir: epath.PathLike
) -> bool:
    """Whether `fetch` would find it without a download; its sha256 is not looked at."""
    paths = [what.path] if isinstance(what, RawFile) else [what.path, what.archive.path]
    folders = _folders(raw_dir, download_dir)
    return any((folder / path).exists() for folder in folders for path in paths)


@contextlib.contextmanager
def reading(path: epath.Path) -> Iterator[None]:
    """Turns what goes wrong while a raw file is parsed into a UserError that names the file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, SyntaxError, csv.Error) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged or another file ({reason}); get it again") from error


def _folders(raw_dir: str | os.PathLike | None, download_dir: epath.PathLike) -> list[epath.Path]:
    raw_dir = raw_dir or os.environ.get(RAW_DIR_VARIABLE)
    return [epath.Path(folder).expanduser() for folder in (raw_dir, download_dir) if folder]


def _fetch_file(file: RawFile, folders: list[epath.Path], progress: Progress) -> epath.Path:
    places = [folder / file.path for folder in folders]
    for place in places:
        if place.exists():
            _check(file, _sha256(place) if file.sha256 else "", str(place))
            return place
    if not file.url:
        raise MissingData(f"{file.by_hand}; put it at {places[0]}")
    part = _download(file, places[0], progress)
    target = places[-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f"{target.name}.{os.getpid()}.unfinished"
    unfinished.write_bytes(part.read_bytes())
    unfinished.rename(target)
    part.unlink()
    return target


def _unpack(archive: epath.Path, what: RawFolder, target: epath.Path) -> epath.Path:
    """Unpacks beside `target` and renames, so that a killed run leaves no half of a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(unfinished)  # drops drive letters, "/" and ".." of its members
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(unfinished, filter="data")
        if not (unfinished / what.inside).is_dir():
            raise UserError(f"{archive} holds no folder {what.inside!r}: it is another archive")
        (unfinished / what.inside).rename(target)
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0]  # tarfile goes on with every format it has tried
        raise UserError(f"{archive} is damaged ({reason}); remove it and fetch it again") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _download(file: RawFile, wanted_at: epath.Path, progress: Progress) -> pathlib.Path:
    """A local file with the right digest; the pin fixes its name, so that a retry finds it."""
    name = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
    part = pathlib.Path(tempfile.gettempdir()) / f"jaxllm-{name}.part"
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
            if total is not None and done < total:
                raise OSError(f"the connection ended after {done} of {total} bytes")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the part already holds everything.
            raise _cannot_download(file, wanted_at, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _cannot_download(file, wanted_at, error) from error
    found = _sha256(part)
    if file.sha256 and found != file.sha256:
        part.unlink()
    _check(file, found, file.url)
    return part


def _cannot_download(file: RawFile, wanted_at: epath.Path, error: Exception) -> MissingData:
    return MissingData(
        f"cannot download {file.url} ({error}); fetch it elsewhere and put it at {wanted_at}, or"
        f" give the folder that holds {file.path} as --raw_dir or {RAW_DIR_VARIABLE}"
    )


def _check(file: RawFile, found: str, where: str) -> None:
    if file.sha256 and found != file.sha256:
        raise UserError(
            f"{where} has sha256 {found}, but {file.path} is pinned at {file.sha256}: it is"
            f" another version or damaged; remove it and get {file.url or file.by_hand}"
        )


def _sha256(path: epath.Path | pathlib.Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
    return state.hexdigest()
