"""What a person sees while something long runs."""

from __future__ import annotations

import io
import sys

import pytest

from jaxllm.observe import progress as progress_module
from jaxllm.observe.progress import Progress, duration


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def test_without_a_terminal_a_line_every_ten_seconds(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("training", total=100, unit="steps") as bar:
        for _ in range(100):
            clock.now += 0.5
            bar.update(1, loss=2.34567)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 6
    assert lines[0] == "training: 20/100 steps, 2 steps/s, 40 s left, loss 2.346"
    assert lines[-1] == "training: 100/100 steps, 2 steps/s, done in 50 s, loss 2.346"


def test_the_first_update_does_not_spoil_the_rate(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("training", total=10, unit="steps") as bar:
        clock.now += 60  # compiling
        bar.update()
        clock.now += 10
        bar.update()
    assert "training: 2/10 steps, 10 s/step, 1 min 20 s left" in capsys.readouterr().err


def test_the_rate_follows_the_last_minute(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("decoding", total=None, unit="requests", completed=50) as bar:
        for seconds in [10.0] * 20 + [1.0] * 100:
            clock.now += seconds
            bar.update(1)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "decoding: 170 requests, 1 requests/s, done in 5 min 00 s"


def test_tokens_have_a_rate_of_their_own(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("generating", total=40, unit="requests", completed=30) as bar:
        for tokens in (1, 5000, 7000):
            clock.now += 5
            bar.update(2, tokens=tokens)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "generating: 34/40 requests, 2.5 s/request, 1,000 tokens/s, 15 s left"
    assert lines[1] == "generating: 36/40 requests, 2.5 s/request, 1,200 tokens/s, done in 15 s"


def test_an_error_ends_the_bar_as_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with Progress("training", total=3, unit="steps") as bar:
            bar.update(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capsys.readouterr().err.startswith("training: 1/3 steps, stopped after ")


def test_bars_nest_on_a_terminal_and_leave_stdout_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with Progress("training [x]", total=2, unit="steps") as outer:
        outer.update(1, loss=1.5)
        with Progress("evaluating", total=3) as inner:
            inner.update(2)
            print("a result")
        outer.update(1)
    assert capsys.readouterr().out == "a result\n"
    shown = terminal.getvalue()
    assert "training [x]" in shown
    assert "evaluating: 2/3 items, done in" in shown
    assert "training [x]: 2/2 steps" in shown
    assert progress_module._display is None


@pytest.mark.parametrize(
    "seconds, text",
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.25, "0.2 s"),
        (9.99, "10.0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (356400, "4 d 3 h"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
