"""A score as pages show it: digits by its scale, half its interval, and where its bar begins."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxllm.reporting.leaderboard import Score
from jaxllm.reporting.results import Result

_DIGITS = 3  # behind the point, of scores up to 1


@dataclass(kw_only=True)
class Notes:
    """Remarks below a table, each once; cells point to them by number, from 1."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """The number of a remark, which is added if it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A score in words; `text` is empty where it is missing, `share`, `low` and `high` are 0-1.

    `note` is the number of its remark, 0 without one; `href` leads to its samples, empty without.
    """

    text: str
    value: float | None
    half_width: str
    span: str
    share: float | None
    low: float | None
    high: float | None
    num_samples: int
    note: int
    href: str

    @property
    def order(self) -> tuple[bool, float]:
        """Sorts the best first and what is missing last."""
        return self.value is None, -(self.value or 0.0)


def make_cell(score: Score, notes: Notes, *, href: str = "") -> Cell:
    """A score in words, its remark numbered by `notes`."""
    places = _DIGITS if score.maximum <= 1 else _DIGITS - 1
    low = high = None
    half_width = span = ""
    if score.low is not None and score.high is not None:
        low, high = score.low / score.maximum, score.high / score.maximum
        half_width = f"±{(score.high - score.low) / 2:.{places}f}"
        span = f"{score.low:.{places}f}–{score.high:.{places}f}"
    return Cell(
        text="" if score.mean is None else f"{score.mean:.{places}f}",
        value=score.mean,
        half_width=half_width,
        span=span,
        share=None if score.mean is None else score.mean / score.maximum,
        low=low,
        high=high,
        num_samples=score.num_samples,
        note=notes.number(score.note) if score.note else 0,
        href=href,
    )


def task_score(run: Result, task: str, metric: str = "") -> Score:
    """What a run scored on a task, by its headline or another metric, on the metric's scale."""
    entry = run.tasks[task]
    measured = entry["metrics"].get(metric or entry["headline"], {})
    low, high = measured.get("interval") or (None, None)
    return Score(
        mean=measured.get("mean"),
        low=low,
        high=high,
        num_samples=entry["num_samples"],
        maximum=measured.get("maximum", 1.0),
        note=measured.get("missing", ""),
    )
