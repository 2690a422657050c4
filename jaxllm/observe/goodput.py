"""Goodput: which share of a run's time, over all its starts, went into steps that counted.

    WORKDIR/goodput/000000.jsonl     rows of the first start, 000001.jsonl of the second, ...

A row tells the clock, the step, and the seconds that this start has lost so far by cause. Between
the last row of a start and the first of the next the run was down; steps that a start had made
beyond the checkpoint from which the next one went on were made in vain. Both count as `restart`.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.observe.progress import duration
from jaxllm.observe.segments import Segment, read_segment, segments

_FOLDER = "goodput"
_ROW_SECONDS = 10.0
RESTART = "restart"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goodput:
    """Where the time went: `wall` is `useful` and what is in `lost`, in seconds."""

    wall: float
    useful: float
    lost: Mapping[str, float]

    @property
    def share(self) -> float:
        """Useful time over all time."""
        return self.useful / self.wall if self.wall else 0.0

    def __str__(self) -> str:
        causes = sorted(self.lost.items(), key=lambda item: -item[1])
        lost = ", ".join(f"{cause} {duration(seconds)}" for cause, seconds in causes if seconds)
        return f"goodput {self.share:.1%} of {duration(self.wall)}" + (f"; {lost}" if lost else "")


class TimeLedger:
    """Keeps the books of one start, and leaves a row of them every ten seconds.

    Args:
        workdir: of the run.
        first_step: the step that this start goes on from.
        began: `time.time()` when this start began; what it did since then is `startup`.
        writes: whether it leaves rows, or another process does.
    """

    def __init__(
        self, workdir: epath.PathLike, *, first_step: int, began: float, writes: bool = True
    ) -> None:
        self._before = _read_starts(workdir)
        self._segment = Segment(epath.Path(workdir) / _FOLDER) if writes else None
        self._first_step, self._began = first_step, began
        self._lost: collections.defaultdict[str, float] = collections.defaultdict(float)
        self._lost["startup"] = max(0.0, time.time() - began)
        self._owner = threading.get_ident()
        self._is_lost = False
        self._row_due = 0.0
        self.row(first_step)

    @property
    def lost_seconds(self) -> float:
        """All that this start has lost so far."""
        return sum(self._lost.values())

    @contextlib.contextmanager
    def lost(self, cause: str) -> Iterator[None]:
        """The time in this block is lost by `cause`, whatever else is reported inside."""
        began, self._is_lost = time.monotonic(), True
        try:
            yield
        finally:
            self._is_lost = False
            self._lost[cause] += time.monotonic() - began

    def add(self, cause: str, seconds: float) -> None:
        """Seconds that were lost by `cause`, seen from outside.

        Inside a `lost` block they belong to that; of another thread they held nobody up.
        """
        if not self._is_lost and threading.get_ident() == self._owner:
            self._lost[cause] += seconds

    def row(self, step: int) -> None:
        """Leaves a row, if the last one is old enough; `step` is the last that was made."""
        if self._segment is not None and time.monotonic() >= self._row_due:
            self._segment.write(self._start(step))
            self._row_due = time.monotonic() + _ROW_SECONDS

    def goodput(self, step: int) -> Goodput:
        """The books of all starts so far."""
        return _sum_up([*self._before, self._start(step)])

    def close(self, step: int) -> None:
        """Leaves the last row."""
        self._row_due = 0.0
        self.row(step)
        if self._segment is not None:
            self._segment.close()

    def _start(self, step: int) -> dict[str, Any]:
        return {
            "began": round(self._began, 3),
            "time": round(time.time(), 3),
            "first_step": self._first_step,
            "step": step,
            "lost": {cause: round(seconds, 3) for cause, seconds in self._lost.items()},
        }


def read_goodput(workdir: epath.PathLike) -> Goodput:
    """The goodput of a run as it left it; of one that left nothing all is 0."""
    return _sum_up(_read_starts(workdir))


def _read_starts(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """The last row of every start."""
    paths = segments(epath.Path(workdir) / _FOLDER)
    rows = [read_segment(path, key="began") for path in paths]
    return [of_start[-1] for of_start in rows if of_start]


def _sum_up(starts: Sequence[Mapping[str, Any]]) -> Goodput:
    if not starts:
        return Goodput(wall=0.0, useful=0.0, lost={})
    lost: collections.defaultdict[str, float] = collections.defaultdict(float)
    useful = 0.0
    for index, start in enumerate(starts):
        own = max(0.0, start["time"] - start["began"] - sum(start["lost"].values()))
        if index:
            lost[RESTART] += max(0.0, start["began"] - starts[index - 1]["time"])
        # Only the first start-up had to be: those of later starts are the price of a restart.
        for cause, seconds in start["lost"].items():
            lost[RESTART if index and cause == "startup" else cause] += seconds
        # A later start that went back to an earlier step made this start's last steps vain.
        goes_on_at = min((later["first_step"] for later in starts[index + 1 :]), default=None)
        made = start["step"] - start["first_step"]
        if goes_on_at is not None and made > 0:
            in_vain = min(max(start["step"] - goes_on_at, 0), made) / made
            lost[RESTART] += own * in_vain
            own *= 1.0 - in_vain
        useful += own
    wall = useful + sum(lost.values())
    return Goodput(wall=wall, useful=useful, lost=dict(lost))
