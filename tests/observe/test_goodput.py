"""Where a run's time went, over kills and resumes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from jaxllm.observe import goodput as goodput_module
from jaxllm.observe.goodput import TimeLedger, read_goodput


class _Clock:
    """Both clocks of `time`, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(goodput_module, "time", clock)
    return clock


def _kill(ledger: TimeLedger) -> None:
    assert ledger._segment is not None
    ledger._segment.close()  # as the system does


def test_the_books_of_one_start_add_up(clock: _Clock, tmp_path: Path) -> None:
    ledger = TimeLedger(tmp_path, first_step=0, began=clock.now - 5)
    clock.now += 60
    ledger.add("compile", 10)
    with ledger.lost("evaluation"):
        clock.now += 20
        ledger.add("compile", 7)  # what an evaluation compiles is the evaluation's
    other = threading.Thread(target=ledger.add, args=("compile", 100))
    other.start()
    other.join()
    ledger.close(30)
    found = read_goodput(tmp_path)
    assert found == ledger.goodput(30)
    assert (found.wall, found.useful) == (85, 50)
    assert found.lost == {"startup": 5, "compile": 10, "evaluation": 20}
    told = "goodput 58.8% of 1 min 25 s; evaluation 20 s, compile 10 s, startup 5.0 s"
    assert str(found) == told


def test_a_kill_costs_the_gap_the_start_up_and_the_steps_made_in_vain(
    clock: _Clock, tmp_path: Path
) -> None:
    first = TimeLedger(tmp_path, first_step=0, began=clock.now)
    clock.now += 100
    first.row(50)  # killed a second later, with a checkpoint of step 40
    _kill(first)
    clock.now += 31
    second = TimeLedger(tmp_path, first_step=40, began=clock.now)
    clock.now += 60
    second.close(70)
    found = read_goodput(tmp_path)
    assert found.wall == 191
    assert found.lost == pytest.approx({"startup": 0, "restart": 31 + 100 * 10 / 50})
    assert found.share == pytest.approx((80 + 60) / 191)


def test_the_start_up_of_a_resumed_start_is_the_restarts(clock: _Clock, tmp_path: Path) -> None:
    TimeLedger(tmp_path, first_step=0, began=clock.now).close(0)
    clock.now += 40
    ledger = TimeLedger(tmp_path, first_step=0, began=clock.now - 10)
    _kill(ledger)
    assert ledger.goodput(0).lost == {"startup": 0, "restart": 40}


def test_rows_come_every_ten_seconds_and_survive_a_kill_within_one(
    clock: _Clock, tmp_path: Path
) -> None:
    ledger = TimeLedger(tmp_path, first_step=0, began=clock.now)
    for step in range(1, 26):
        clock.now += 1
        ledger.row(step)
    _kill(ledger)
    path = tmp_path / "goodput" / "000000.jsonl"
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 10, 20]
    path.write_text(path.read_text() + '{"began": 10')
    assert read_goodput(tmp_path).wall == 20


def test_a_run_that_left_nothing_has_none(tmp_path: Path) -> None:
    assert read_goodput(tmp_path).share == 0
