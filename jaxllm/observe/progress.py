"""Progress bars that tell the rate and the time left; plain lines where there is no terminal.

    with Progress("training", total=1000, unit="steps") as bar:
        bar.update(1, loss=2.31)

Everything goes to stderr, so that stdout stays what a program's reader wants. Bars may nest (an
evaluation inside training): they share one live display.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

_LINE_SECONDS = 10.0
_RATE_SECONDS = 60.0

_display: _Display | None = None
_bars_shown = 0
_is_silent = False


def silence() -> None:
    """Shows no bar of this process from here on: another one does the same work and tells it."""
    global _is_silent
    _is_silent = True


class Progress:
    """One bar: `update(k)` says that k more units are done, keyword numbers are shown beside it.

    Without `total` it shows the count and the rate only. `completed` is where a resumed job starts.
    A terminal shows `above` over all bars, drawn anew each time, as long as this one is there.
    """

    def __init__(
        self,
        title: str,
        *,
        total: int | None,
        unit: str = "items",
        completed: int = 0,
        above: RenderableType | None = None,
    ) -> None:
        self._title = title
        self._total = total
        self._unit = unit
        self._completed = completed
        self._above = above
        self._values: dict[str, float | str] = {}
        self._started = time.monotonic()
        self._last_line = self._started
        self._tokens = 0
        # (time, completed, tokens) after each update of the last minute. The first stands after the
        # first update, not before: compiling belongs to that one, and would spoil the estimate.
        self._marks: deque[tuple[float, int, int]] = deque()
        self._task: TaskID | None = None

    def update(self, count: int = 1, *, tokens: int = 0, **values: float | str) -> None:
        """Adds `count` finished units, the `tokens` they held, and shows the newest `values`."""
        self._completed += count
        self._tokens += tokens
        self._values |= values
        now = time.monotonic()
        self._marks.append((now, self._completed, self._tokens))
        while now - self._marks[0][0] > _RATE_SECONDS and len(self._marks) > 2:
            self._marks.popleft()
        if self._task is not None and _display is not None:
            _display.update(self._task, completed=self._completed, tail=self._tail())
        elif now - self._last_line >= _LINE_SECONDS:
            self._line(self._tail())

    def __enter__(self) -> Progress:
        self._started = self._last_line = time.monotonic()
        if sys.stderr.isatty() and not _is_silent:
            self._task = _show(self._title, self._total, self._completed)
            if self._above is not None and _display is not None:
                _display.above = self._above
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            if self._above is not None and _display is not None:
                _display.above = None
            _hide(self._task)
            self._task = None
        taken = duration(time.monotonic() - self._started)
        self._line(self._tail(f"{'done in' if kind is None else 'stopped after'} {taken}"))

    def _line(self, tail: str) -> None:
        self._last_line = time.monotonic()
        if not _is_silent:
            print(f"{self._title}: {tail}", file=sys.stderr, flush=True)

    def _tail(self, ending: str = "") -> str:
        of = "" if self._total is None else f"/{self._total}"
        parts = [f"{self._completed}{of} {self._unit}"]
        rate, tokens_per_s = self._rates()
        if rate:
            one = self._unit.removesuffix("s")
            parts.append(
                f"{_figure(rate)} {self._unit}/s" if rate >= 1 else f"{1 / rate:.3g} s/{one}"
            )
        if tokens_per_s:
            parts.append(f"{_figure(tokens_per_s)} tokens/s")
        if ending:
            parts.append(ending)
        elif rate and self._total is not None:
            parts.append(f"{duration((self._total - self._completed) / rate)} left")
        for name, value in self._values.items():
            parts.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
        return ", ".join(parts)

    def _rates(self) -> tuple[float, float]:
        """Units and tokens a second, 0 where it is not known yet."""
        if not self._marks or self._marks[-1][0] <= self._marks[0][0]:
            return 0.0, 0.0
        (start, *before), (now, *after) = self._marks[0], self._marks[-1]
        units, tokens = (new - old for old, new in zip(before, after, strict=True))
        return units / (now - start), tokens / (now - start)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `3 min 20 s`, `2 h 05 min`, `4 d 3 h`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {second:02d} s"
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minute:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def _figure(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"


class _Display(Bars):
    """The bars, and what stands above them."""

    above: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above is not None:
            yield self.above
        yield from super().get_renderables()


def _show(title: str, total: int | None, completed: int) -> TaskID:
    global _display, _bars_shown
    if _display is None:
        _display = _Display(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[tail]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            # Results that go to a file must not be caught and printed above the bar.
            redirect_stdout=sys.stdout.isatty(),
        )
        _display.start()
    _bars_shown += 1
    return _display.add_task(title, total=total, completed=completed, tail="")


def _hide(task: TaskID) -> None:
    global _display, _bars_shown
    assert _display is not None
    _display.remove_task(task)
    _bars_shown -= 1
    if _bars_shown == 0:
        _display.stop()
        _display = None
