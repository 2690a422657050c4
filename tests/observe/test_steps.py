"""The steps of a job over several things, as lines where there is no terminal."""

from __future__ import annotations

import pytest

from jaxllm.observe import steps
from jaxllm.observe.steps import one_by_one


def test_names_come_in_their_order_and_are_counted(capsys):
    assert [name for name, _ in one_by_one("making", ["a", "b"], unit="things")] == ["a", "b"]
    assert "making: 2/2 things" in capsys.readouterr().err


def test_quick_steps_are_not_shown(capsys):
    for name, progress in one_by_one("making", ["a", "b"], unit="things"):
        progress(f"prepare {name}", 500, 1000)
        progress(f"prepare {name}", 1000, 1000)
    assert "prepare" not in capsys.readouterr().err


def test_a_step_that_takes_a_while_is_shown_with_its_unit(capsys, monkeypatch):
    monkeypatch.setattr(steps, "_SHOW_AFTER_SECONDS", 0.0)
    for _, progress in one_by_one("making", ["a"], unit="things"):
        for done in range(0, 12_400_001, 3_100_000):
            progress("download a.bin", done, 12_400_000)
        for done in (500, 1000, 1200):
            progress("prepare a/train", done, 1200)
        progress("download b.bin", 5_000_000, None)
        progress("download b.bin", 7_000_000, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("download a.bin: 12/13 MB")
    assert lines[1].startswith("prepare a/train: 1200/1200 rows")
    assert lines[2].startswith("download b.bin: 7 MB")
    assert lines[3].startswith("making: 1/1 things")


def test_an_error_ends_both_bars(capsys, monkeypatch):
    monkeypatch.setattr(steps, "_SHOW_AFTER_SECONDS", 0.0)

    def fail():
        for _, progress in one_by_one("making", ["a", "b"], unit="things"):
            progress("prepare a", 1, 9)
            raise KeyError("a")

    with pytest.raises(KeyError):
        fail()
    assert "making: 0/2 things, stopped after" in capsys.readouterr().err
