"""Scalars in TensorBoard's event files and in W&B's offline folders."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from jaxllm.errors import UserError
from jaxllm.observe.sinks import ObserveSettings, make_sinks
from jaxllm.observe.writer import Writer, read_scalars

_ROWS = ((1, {"loss": 2.5, "eval/nli": float("nan")}), (2, {"loss": 2.25, "eval/nli": 0.5}))


def _write(settings: ObserveSettings, workdir: Path) -> None:
    with Writer(workdir, make_sinks(settings, workdir, {"seed": 0})) as writer:
        for step, values in _ROWS:
            writer.scalars(step, values)


def _events(path: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of an event file: records of length, its checksum, event, its checksum."""
    pb = pytest.importorskip("tensorboardX.proto.event_pb2")
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        event = pb.Event.FromString(data[place + 12 : place + 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        place += length + 16
    return found


def test_tensorboard_gets_every_finite_value(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    _write(ObserveSettings(tensorboard=True), tmp_path)
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert _events(events) == [("loss", 1, 2.5), ("loss", 2, 2.25), ("eval/nli", 2, 0.5)]
    assert [row["loss"] for row in read_scalars(tmp_path)] == [2.5, 2.25]
    assert "tensorflow" not in sys.modules


@pytest.mark.slow
def test_wandb_offline_leaves_a_run_that_a_second_start_goes_on_with(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    for _ in range(2):
        _write(ObserveSettings(wandb="offline"), tmp_path)
    runs = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    run_id = (tmp_path / "wandb_id.txt").read_text()
    assert len(runs) == 2
    assert {path.stem for path in runs} == {f"run-{run_id}"}
    assert all(b"loss" in path.read_bytes() for path in runs)


def test_settings_that_cannot_work_are_told(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"wandb='on': use off, online, offline"):
        ObserveSettings(wandb="on")
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"needs tensorboardX.*pip install -e '\.\[observe\]'"):
        make_sinks(ObserveSettings(tensorboard=True), tmp_path, {})
