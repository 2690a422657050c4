"""Raw files: found, refused, downloaded, and gone on with after an interruption."""

from __future__ import annotations

import hashlib
import http.server
import tempfile
import threading
from typing import ClassVar

import pytest

from jaxllm.corpora import raw
from jaxllm.errors import UserError

_BODY = bytes(range(256)) * 40
_SHA256 = hashlib.sha256(_BODY).hexdigest()


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves _BODY, honouring `Range: bytes=N-`."""

    ranges: ClassVar[list[str | None]] = []

    def do_GET(self):
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(_BODY) - start))
        self.end_headers()
        self.wfile.write(_BODY[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def url(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)
    _Server.ranges = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.bin"
        server.shutdown()


def _fetch(url, tmp_path, raw_dir=None, sha256=_SHA256):
    return raw.fetch(
        raw.RawFile(path="origin/a.bin", url=url, sha256=sha256),
        raw_dir=raw_dir,
        download_dir=tmp_path / "downloads",
        progress=lambda what, done, total: None,
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


def test_another_file_is_refused_with_both_digests(tmp_path):
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/a.bin").write_bytes(b"other")
    with pytest.raises(UserError) as error:
        _fetch("http://127.0.0.1:9/", tmp_path, raw_dir=tmp_path)
    assert _SHA256 in str(error.value)
    assert hashlib.sha256(b"other").hexdigest() in str(error.value)


def test_a_download_lands_below_the_download_folder(url, tmp_path):
    path = _fetch(url, tmp_path)
    assert path.read_bytes() == _BODY
    assert str(path) == str(tmp_path / "downloads/origin/a.bin")
    assert _fetch(url, tmp_path) == path
    assert _Server.ranges == [None]


def test_an_interrupted_download_goes_on(url, tmp_path):
    (tmp_path / f"jaxllm-{_SHA256}.part").write_bytes(_BODY[:1000])
    assert _fetch(url, tmp_path).read_bytes() == _BODY
    assert _Server.ranges == ["bytes=1000-"]


def test_a_wrong_download_is_refused_and_not_kept(url, tmp_path):
    wrong = hashlib.sha256(b"").hexdigest()
    with pytest.raises(UserError, match=_SHA256):
        _fetch(url, tmp_path, sha256=wrong)
    assert not list(tmp_path.glob("*.part"))
    assert not (tmp_path / "downloads").exists()


def test_without_network_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UserError) as error:
        _fetch("http://127.0.0.1:9/a.bin", tmp_path, raw_dir=tmp_path / "raw")
    for part in ("http://127.0.0.1:9/a.bin", str(tmp_path / "raw/origin/a.bin"), "--raw_dir"):
        assert part in str(error.value)
