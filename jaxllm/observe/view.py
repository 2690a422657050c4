"""What a terminal shows above the bar of a training run: the newest figures, the loss as a line."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping

import rich.box
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_MOST_LOSSES = 60
_BARS = "▁▂▃▄▅▆▇█"


def _plain(value: float) -> str:
    return f"{value:.4g}"


# What stands where, and how it is written; what a run does not log is left out.
_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("loss", "loss", _plain),
    ("learning rate", "learning_rate", _plain),
    ("gradient norm", "grad_norm", _plain),
    ("parameter norm", "param_norm", _plain),
    ("epoch", "epoch", lambda value: f"{value:.2f}"),
    ("tokens/s", "tokens_per_second", lambda value: f"{value:,.0f}"),
    ("s/step", "step_s", _plain),
    ("MFU", "mfu", lambda value: f"{value:.1%}"),
    ("input wait", "input_wait", lambda value: f"{value:.1%}"),
    ("goodput", "goodput", lambda value: f"{value:.1%}"),
    ("memory", "rss_mb", lambda value: f"{value:,.0f} MiB"),
    ("on device", "device_memory_mb", lambda value: f"{value:,.0f} MiB"),
)


class RunView:
    """A panel that rich draws anew with every refresh; `update` takes what is logged."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._values: dict[str, float] = {}
        self._losses: collections.deque[float] = collections.deque(maxlen=_MOST_LOSSES)

    def update(self, values: Mapping[str, float]) -> None:
        """Takes a row of scalars."""
        self._values |= values
        if "loss" in values:
            self._losses.append(values["loss"])

    def __rich__(self) -> Panel:
        figures = [
            (label, write(self._values[name]))
            for label, name, write in _FIGURES
            if name in self._values
        ]
        figures += [
            (name.removeprefix("eval/"), _plain(value))
            for name, value in self._values.items()
            if name.startswith("eval/") and name.count("/") == 2
        ]
        grid = Table.grid(padding=(0, 3), expand=False)
        for _ in range(2):
            grid.add_column(style="dim")
            grid.add_column(justify="right")
        half = -(-len(figures) // 2)
        for row in range(half):
            left, right = figures[row], figures[row + half : row + half + 1]
            grid.add_row(*left, *(right[0] if right else ("", "")))
        whole = Table.grid()
        whole.add_row(grid)
        if len(self._losses) > 1:
            whole.add_row(Text(f"loss  {_sparkline(list(self._losses))}"))
        return Panel(
            whole, title=self._title, title_align="left", box=rich.box.ROUNDED, expand=False
        )


def _sparkline(values: list[float]) -> str:
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values)
