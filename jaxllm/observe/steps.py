"""A job over several things: a bar over all of them, and one for a step of it that takes a while.

for name, progress in one_by_one("preparing", names, unit="data sets"):
    make(name, progress=progress)  # calls progress("download a.bin", bytes_done, bytes_total)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from jaxllm.observe.progress import Progress

_SHOW_AFTER_SECONDS = 1.0


def one_by_one(title: str, names: Sequence[str], *, unit: str) -> Iterator[tuple[str, Step]]:
    """Yields each name with what shows the steps of its part, under a bar over all names."""
    with Progress(title, total=len(names), unit=unit) as bar:
        for name in names:
            bar.update(0, now=name)
            with contextlib.ExitStack() as shown:
                yield name, Step(shown)
            bar.update(1)


class Step:
    """Called with (what goes on, how much is done, how much there is or None).

    Amounts are bytes where the step's name begins with "download", else rows. A step that is over
    within a second shows no bar.
    """

    def __init__(self, shown: contextlib.ExitStack) -> None:
        self._shown = shown
        self._what = ""
        self._started = 0.0
        self._bar: Progress | None = None
        self._done = 0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        unit = "rows"
        if what.startswith("download"):
            unit, done = "MB", done // 10**6
            total = None if total is None else -(-total // 10**6)
        if what != self._what:
            self._shown.close()
            self._bar, self._what, self._started = None, what, time.monotonic()
        if self._bar:
            self._bar.update(done - self._done)
        elif done != total and time.monotonic() - self._started >= _SHOW_AFTER_SECONDS:
            bar = Progress(what, total=total, unit=unit, completed=done)
            self._bar = self._shown.enter_context(bar)
        self._done = done
