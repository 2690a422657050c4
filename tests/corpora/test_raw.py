"""Raw files: found, refused, downloaded, unpacked, and gone on with after an interruption."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import tempfile
import threading
import zipfile
from typing import ClassVar

import pytest

from jaxllm.corpora import raw
from jaxllm.errors import MissingData, UserError

_BODY = bytes(range(256)) * 40
_SHA256 = hashlib.sha256(_BODY).hexdigest()
_TEXT = "問い\t答え\n" * 500


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves `files` by path, honouring `Range: bytes=N-`; cuts the first answer at `cut` bytes."""

    files: ClassVar[dict[str, bytes]] = {}
    ranges: ClassVar[list[str | None]] = []
    cut: ClassVar[int | None] = None
    chunked: ClassVar[bool] = False

    def do_GET(self):
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        if self.path not in self.files:
            self.send_error(404)
            return
        body = self.files[self.path]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        sent = body[start : None if self.cut is None else start + self.cut]
        if self.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            sent = b"%x\r\n%s\r\n" % (len(body), sent)  # a chunk that is shorter than it says
        else:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(sent)
        type(self).cut = None

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The address of a server that has /a.bin."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)
    monkeypatch.setattr(_Server, "files", {"/a.bin": _BODY})
    monkeypatch.setattr(_Server, "ranges", [])
    monkeypatch.setattr(_Server, "cut", None)
    monkeypatch.setattr(_Server, "chunked", False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def url(server):
    return f"{server}/a.bin"


def _fetch(url, tmp_path, raw_dir=None, sha256=_SHA256):
    return _fetch_any(raw.RawFile(path="origin/a.bin", url=url, sha256=sha256), tmp_path, raw_dir)


def _fetch_any(what, tmp_path, raw_dir=None, progress=lambda what, done, total: None):
    return raw.fetch(what, raw_dir=raw_dir, download_dir=tmp_path / "downloads", progress=progress)


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("repo-main/data/a.tsv", _TEXT)
        archive.writestr("repo-main/README.md", "about")
    return packed.getvalue()


def _tar_gz() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in (("repo-main/data/a.tsv", _TEXT), ("repo-main/README.md", "about")):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


_ARCHIVES = {".zip": _zip(), ".tar.gz": _tar_gz()}


def _folder(server, suffix, *, inside="repo-main/data", sha256=None) -> raw.RawFolder:
    if sha256 is None:
        sha256 = hashlib.sha256(_ARCHIVES[suffix]).hexdigest()
    return raw.RawFolder(
        path="origin/data", url=f"{server}/data{suffix}", inside=inside, sha256=sha256
    )


def test_a_file_in_the_raw_folder_is_taken_as_it_is(tmp_path):
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/a.bin").write_bytes(_BODY)
    assert _fetch("http://127.0.0.1:9/", tmp_path, raw_dir=tmp_path).read_bytes() == _BODY


def test_the_environment_names_the_raw_folder(tmp_path, monkeypatch):
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/a.bin").write_bytes(_BODY)
    monkeypatch.setenv(raw.RAW_DIR_VARIABLE, str(tmp_path))
    assert _fetch("http://127.0.0.1:9/", tmp_path).read_bytes() == _BODY


def test_the_raw_folder_may_be_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "raw/origin").mkdir(parents=True)
    (tmp_path / "raw/origin/a.bin").write_bytes(_BODY)
    assert _fetch("http://127.0.0.1:9/", tmp_path, raw_dir="~/raw").read_bytes() == _BODY


def test_another_file_is_refused_with_both_digests(tmp_path):
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/a.bin").write_bytes(b"other")
    with pytest.raises(UserError) as error:
        _fetch("http://127.0.0.1:9/", tmp_path, raw_dir=tmp_path)
    assert _SHA256 in str(error.value)
    assert hashlib.sha256(b"other").hexdigest() in str(error.value)


def test_any_file_is_taken_where_the_digest_is_not_known(url, tmp_path):
    assert _fetch(url, tmp_path, sha256="").read_bytes() == _BODY
    (tmp_path / "raw/origin").mkdir(parents=True)
    (tmp_path / "raw/origin/a.bin").write_bytes(b"other")
    taken = _fetch(url, tmp_path, raw_dir=tmp_path / "raw", sha256="")
    assert taken.read_bytes() == b"other"
    assert _Server.ranges == [None]


def test_a_file_that_nothing_serves_says_what_a_person_does(tmp_path, monkeypatch):
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)
    file = raw.RawFile(path="gated/a.json", by_hand="ask for it at https://example.org")
    with pytest.raises(MissingData) as error:
        _fetch_any(file, tmp_path, raw_dir=tmp_path / "raw")
    assert str(error.value) == (
        f"ask for it at https://example.org; put it at {tmp_path}/raw/gated/a.json"
    )
    (tmp_path / "raw/gated").mkdir(parents=True)
    (tmp_path / "raw/gated/a.json").write_text("[]")
    assert _fetch_any(file, tmp_path, raw_dir=tmp_path / "raw").read_text() == "[]"


def test_a_download_lands_below_the_download_folder(url, tmp_path):
    path = _fetch(url, tmp_path)
    assert path.read_bytes() == _BODY
    assert str(path) == str(tmp_path / "downloads/origin/a.bin")
    assert _fetch(url, tmp_path) == path
    assert _Server.ranges == [None]


def test_a_download_tells_how_far_it_is(url, tmp_path):
    told = []
    file = raw.RawFile(path="origin/a.bin", url=url, sha256=_SHA256)
    _fetch_any(file, tmp_path, progress=lambda *step: told.append(step))
    assert told[-1] == ("download origin/a.bin", len(_BODY), len(_BODY))


def test_an_interrupted_download_goes_on(url, tmp_path):
    (tmp_path / f"jaxllm-{_SHA256}.part").write_bytes(_BODY[:1000])
    assert _fetch(url, tmp_path).read_bytes() == _BODY
    assert _Server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_that_is_cut_is_told_and_gone_on_with(url, tmp_path, monkeypatch, chunked):
    monkeypatch.setattr(_Server, "cut", 3000)
    monkeypatch.setattr(_Server, "chunked", chunked)
    with pytest.raises(MissingData, match="cannot download"):
        _fetch(url, tmp_path)
    assert not (tmp_path / "downloads").exists()
    monkeypatch.setattr(_Server, "chunked", False)
    assert _fetch(url, tmp_path).read_bytes() == _BODY
    # What of a broken chunk has come is thrown away by http.client.
    assert _Server.ranges == [None, None if chunked else "bytes=3000-"]


def test_a_download_that_was_killed_at_its_end_is_taken(url, tmp_path):
    (tmp_path / f"jaxllm-{_SHA256}.part").write_bytes(_BODY)
    assert _fetch(url, tmp_path).read_bytes() == _BODY
    assert _Server.ranges == [f"bytes={len(_BODY)}-"]


def test_a_file_that_is_gone_from_its_server_is_missing(server, tmp_path):
    with pytest.raises(MissingData, match=r"/gone\.bin \(HTTP Error 404"):
        _fetch(f"{server}/gone.bin", tmp_path)


def test_a_wrong_download_is_refused_and_not_kept(url, tmp_path):
    wrong = hashlib.sha256(b"").hexdigest()
    with pytest.raises(UserError, match=_SHA256):
        _fetch(url, tmp_path, sha256=wrong)
    assert not list(tmp_path.glob("*.part"))
    assert not (tmp_path / "downloads").exists()


def test_without_network_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MissingData) as error:
        _fetch("http://127.0.0.1:9/a.bin", tmp_path, raw_dir=tmp_path / "raw")
    for part in ("http://127.0.0.1:9/a.bin", str(tmp_path / "raw/origin/a.bin"), "--raw_dir"):
        assert part in str(error.value)


@pytest.mark.parametrize("suffix", _ARCHIVES)
def test_an_archive_is_downloaded_and_unpacked_once(server, tmp_path, monkeypatch, suffix):
    monkeypatch.setitem(_Server.files, f"/data{suffix}", _ARCHIVES[suffix])
    folder = _fetch_any(_folder(server, suffix), tmp_path)
    assert str(folder) == str(tmp_path / "downloads/origin/data")
    assert (folder / "a.tsv").read_text(encoding="utf-8") == _TEXT
    assert sorted(path.name for path in folder.iterdir()) == ["a.tsv"]
    assert _fetch_any(_folder(server, suffix), tmp_path) == folder
    assert _Server.ranges == [None]


def test_a_cut_archive_is_gone_on_with(server, tmp_path, monkeypatch):
    monkeypatch.setitem(_Server.files, "/data.zip", _ARCHIVES[".zip"])
    monkeypatch.setattr(_Server, "cut", 200)
    with pytest.raises(MissingData, match=r"ended after 200 of \d+ bytes"):
        _fetch_any(_folder(server, ".zip"), tmp_path)
    folder = _fetch_any(_folder(server, ".zip"), tmp_path)
    assert (folder / "a.tsv").read_text(encoding="utf-8") == _TEXT
    assert _Server.ranges == [None, "bytes=200-"]


@pytest.mark.parametrize("suffix", _ARCHIVES)
def test_an_archive_in_the_raw_folder_is_unpacked_elsewhere(server, tmp_path, suffix):
    (tmp_path / "raw/origin").mkdir(parents=True)
    (tmp_path / f"raw/origin/data{suffix}").write_bytes(_ARCHIVES[suffix])
    folder = _fetch_any(_folder(server, suffix), tmp_path, raw_dir=tmp_path / "raw")
    assert str(folder) == str(tmp_path / "downloads/origin/data")
    assert (folder / "a.tsv").exists()
    assert _Server.ranges == []


def test_an_unpacked_folder_in_the_raw_folder_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "raw/origin/data").mkdir(parents=True)
    folder = _fetch_any(_folder(server, ".zip"), tmp_path, raw_dir=tmp_path / "raw")
    assert str(folder) == str(tmp_path / "raw/origin/data")


@pytest.mark.parametrize("suffix", _ARCHIVES)
@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_archive_is_named_and_leaves_nothing(server, tmp_path, suffix, damage):
    packed = bytearray(_ARCHIVES[suffix])
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "changed":
        packed[60:90] = bytes(30)
    else:
        packed.clear()
    (tmp_path / "raw/origin").mkdir(parents=True)
    (tmp_path / f"raw/origin/data{suffix}").write_bytes(packed)
    with pytest.raises(UserError) as error:
        _fetch_any(_folder(server, suffix, sha256=""), tmp_path, raw_dir=tmp_path / "raw")
    assert f"{tmp_path}/raw/origin/data{suffix} is damaged" in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "downloads/origin").iterdir())


def test_another_archive_is_told_by_the_folder_it_lacks(server, tmp_path, monkeypatch):
    monkeypatch.setitem(_Server.files, "/data.zip", _ARCHIVES[".zip"])
    with pytest.raises(UserError, match="no folder 'repo-main/other'"):
        _fetch_any(_folder(server, ".zip", inside="repo-main/other"), tmp_path)


def test_an_archive_cannot_write_outside_its_folder(server, tmp_path, monkeypatch):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    monkeypatch.setitem(_Server.files, "/data.tar.gz", packed.getvalue())
    with pytest.raises(UserError, match="is damaged"):
        _fetch_any(_folder(server, ".tar.gz", sha256=""), tmp_path)
    assert not list(tmp_path.rglob("escaped"))


def test_what_is_here_is_known_without_a_download(server, tmp_path, monkeypatch):
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)
    file, folder = raw.RawFile(path="origin/a.bin"), _folder(server, ".tar.gz")

    def here(what):
        return raw.is_here(what, raw_dir=tmp_path / "raw", download_dir=tmp_path / "downloads")

    assert not here(file)
    assert not here(folder)
    (tmp_path / "raw/origin").mkdir(parents=True)
    (tmp_path / "raw/origin/a.bin").write_bytes(b"")
    (tmp_path / "raw/origin/data.tar.gz").write_bytes(b"")
    assert here(file)
    assert here(folder)
    assert _Server.ranges == []
