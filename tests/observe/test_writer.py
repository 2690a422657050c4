"""Scalars survive kills and resumes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.observe import segments as segments_module
from jaxllm.observe.writer import Writer, read_scalars


def _without_time(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "time"} for row in rows]


def _write(workdir: Path, *rows: tuple[int, dict]) -> None:
    with Writer(workdir) as writer:
        for step, values in rows:
            writer.scalars(step, values)


def test_rows_come_back_merged_by_step(tmp_path: Path) -> None:
    _write(tmp_path, (1, {"loss": np.float32(2.5)}), (2, {"loss": 2}), (2, {"eval/nli": 0.5}))
    rows = read_scalars(tmp_path)
    assert _without_time(rows) == [
        {"step": 1, "loss": 2.5},
        {"step": 2, "loss": 2.0, "eval/nli": 0.5},
    ]
    assert all(row["time"] > 1.7e9 for row in rows)


def test_a_resume_writes_a_new_segment_that_wins(tmp_path: Path) -> None:
    _write(tmp_path, (10, {"loss": 3.0}), (20, {"loss": 2.0}), (30, {"loss": 1.0}))
    _write(tmp_path, (20, {"eval": 0.1}), (40, {"loss": 0.5}))
    assert [path.name for path in sorted((tmp_path / "metrics").iterdir())] == [
        "000000.jsonl",
        "000001.jsonl",
    ]
    # Step 30 of the first start was after the checkpoint that the second one went back to.
    assert _without_time(read_scalars(tmp_path)) == [
        {"step": 10, "loss": 3.0},
        {"step": 20, "loss": 2.0, "eval": 0.1},
        {"step": 40, "loss": 0.5},
    ]


def test_every_row_is_on_disk_at_once(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.scalars(1, {"loss": math.nan})
    assert read_scalars(tmp_path)[0]["loss"] is None
    writer.close()


def test_a_row_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path, (1, {"loss": 1.0}), (2, {"loss": 2.0}))
    segment = tmp_path / "metrics" / "000000.jsonl"
    whole = segment.read_text()
    first = whole.splitlines(keepends=True)[0]
    for cut in range(len(first), len(whole) - 1):
        segment.write_text(whole[:cut])
        assert [row["step"] for row in read_scalars(tmp_path)] == [1]


@pytest.mark.parametrize("damage", ["{broken\n", '{"loss": 1.0}\n', "[1]\n"])
def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    _write(tmp_path, (1, {"loss": 1.0}))
    segment = tmp_path / "metrics" / "000000.jsonl"
    segment.write_text(segment.read_text() + damage + segment.read_text())
    with pytest.raises(UserError, match=r"000000\.jsonl, line 2 is no row with 'step'"):
        read_scalars(tmp_path)


def test_a_run_without_scalars(tmp_path: Path) -> None:
    Writer(tmp_path).close()
    assert read_scalars(tmp_path) == []
    assert not (tmp_path / "metrics").exists()


def test_a_remote_segment_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(segments_module.time, "monotonic", lambda: clock[0])
    writer = Writer(tmp_path)
    writer._segment._remote = True  # a folder that knows no append, such as gs://
    segment = tmp_path / "metrics" / "000000.jsonl"
    writer.scalars(1, {"loss": 1.0})
    assert not segment.exists()
    clock[0] = 31.0
    writer.scalars(2, {"loss": 2.0})
    assert len(segment.read_text().splitlines()) == 2
    writer.scalars(3, {"loss": 3.0})
    writer.close()
    assert [json.loads(line)["step"] for line in segment.read_text().splitlines()] == [1, 2, 3]
