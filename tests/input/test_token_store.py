from __future__ import annotations

import errno
import io
import os
import time

import numpy as np
import pytest
from etils import epath

from jaxllm.errors import UserError
from jaxllm.input.token_store import read_tokens, write_tokens
from jaxllm.input.tokens import TokenizeCounts, TokenPart, join_parts


def _part(lengths, first_id: int) -> TokenPart:
    size = sum(lengths)
    return TokenPart(
        ids=np.arange(first_id, first_id + size, dtype=np.int32),
        loss_weights=np.linspace(0, 1, size, dtype=np.float32),
        lengths=np.array(lengths, np.int64),
        example_ids=tuple(f"e{first_id + i}" for i in range(len(lengths))),
        counts=TokenizeCounts(
            read=len(lengths) + 1,
            kept=len(lengths),
            truncated=0,
            dropped_long=1,
            dropped_untrained=0,
        ),
    )


_PARTS = [_part([3, 4], 10), _part([], 0), _part([2] * 500, 100)]
_ABOUT = {"name": "s", "origin": {"data": "d"}}


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path) / "cache" / "tokens-k"


def test_what_is_written_in_parts_is_read_whole(folder) -> None:
    write_tokens(folder, iter(_PARTS))
    source, expected = read_tokens(folder, **_ABOUT), join_parts(_PARTS, **_ABOUT)
    for field in ("ids", "loss_weights", "offsets"):
        assert np.array_equal(getattr(source, field), getattr(expected, field))
    assert (source.example_ids, source.counts) == (expected.example_ids, expected.counts)
    assert source.digest == expected.digest
    assert source.counts.read == 505
    assert not source.ids.flags.writeable  # it is the file


def test_who_comes_second_leaves_what_is_there(folder) -> None:
    def parts():
        yield _PARTS[0]
        write_tokens(folder, _PARTS)  # another process is faster, and reads on
        yield from _PARTS[1:]

    write_tokens(folder, parts())
    assert read_tokens(folder, **_ABOUT) is not None
    assert [path.name for path in folder.parent.iterdir()] == ["tokens-k"]


def test_what_is_not_there_is_not_read(folder) -> None:
    assert read_tokens(folder, **_ABOUT) is None


@pytest.mark.parametrize("file", ["ids", "loss_weights", "lengths", "about.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:30] + bytes([data[30] ^ 255]) + data[31:],
        lambda data: data + b"\0\0\0\0\0\0\0\0",
        None,
    ],
)
def test_damage_is_noticed(folder, file, damage) -> None:
    write_tokens(folder, _PARTS)
    path = folder / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert read_tokens(folder, **_ABOUT) is None
    write_tokens(folder, _PARTS)
    assert read_tokens(folder, **_ABOUT) is not None


def test_an_error_on_the_way_leaves_nothing_behind(folder) -> None:
    def parts():
        yield _PARTS[0]
        raise UserError("line 3 is broken")

    with pytest.raises(UserError, match="line 3"):
        write_tokens(folder, parts())
    assert not list(folder.parent.iterdir())


class _FullDisk(io.RawIOBase):
    """A file on a disk that takes no more bytes."""

    def __init__(self, code: int) -> None:
        self.code = code

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "is full.*data_dir"), (errno.EIO, "cannot be kept in")]
)
def test_a_disk_that_takes_no_more_is_told(folder, monkeypatch, code, reason) -> None:
    # Buffered as a real one is: bytes that find no room are tried once more when it is closed.
    monkeypatch.setattr(
        type(folder), "open", lambda path, mode: io.BufferedWriter(_FullDisk(code), 64)
    )
    with pytest.raises(UserError, match=reason):
        write_tokens(folder, _PARTS)
    assert not list(folder.parent.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="JAXLLM_DATA_DIR"):
        write_tokens(epath.Path(tmp_path) / "cache" / "tokens-k", _PARTS)


def test_what_a_killed_writer_left_goes_after_a_day(folder) -> None:
    old, new = (folder.parent / f"tokens-{name}.unfinished" for name in ("old", "new"))
    for path in (old, new):
        path.mkdir(parents=True)
        (path / "ids").write_bytes(b"1234")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    write_tokens(folder, _PARTS)
    assert {path.name for path in folder.parent.iterdir()} == {"tokens-k", new.name}
