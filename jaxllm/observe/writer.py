"""Scalars of a run: rows on disk, always, and whatever else is asked to show them.

`WORKDIR/metrics/000000.jsonl` holds the rows `{"step": 10, "time": 1.7e9, "loss": 2.5}` of the
first start, `000001.jsonl` those of the first resume, and so on. A resumed run goes back to its
last checkpoint and writes some steps again; the reader then believes the later segment.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, SupportsFloat

from etils import epath

from jaxllm.observe.segments import Segment, read_segment, segments
from jaxllm.observe.sinks import Sink

_FOLDER = "metrics"


class Writer:
    """Writes the scalars of one start of a run; one process of a run has one.

    `sinks` get every row too, without the values that are not finite.
    """

    def __init__(self, workdir: epath.PathLike, sinks: Sequence[Sink] = ()) -> None:
        self._segment = Segment(epath.Path(workdir) / _FOLDER)
        self._sinks = sinks

    def scalars(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Writes one row; values are numbers, or arrays of one (which wait for the device).

        One that is not finite is written as null.
        """
        numbers = {name: float(value) for name, value in values.items()}
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        row: dict[str, Any] = {"step": int(step), "time": round(time.time(), 3)}
        self._segment.write(row | {name: finite.get(name) for name in numbers})  # JSON has no NaN
        for sink in self._sinks:
            sink.scalars(int(step), finite)

    def close(self) -> None:
        """Ends the segment, and what the sinks still hold goes where it belongs."""
        self._segment.close()
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_scalars(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """All scalars of a run, one dict a step (`step`, `time` and the values), steps ascending.

    What a later start wrote wins: rows of earlier segments beyond its first step are dropped, and
    at the same step its values replace theirs. A run without scalars gives an empty list.

    Raises `UserError` for a row that cannot be read.
    """
    by_step: dict[int, dict[str, Any]] = {}
    for path in segments(epath.Path(workdir) / _FOLDER):
        rows = read_segment(path, key="step")
        if rows:
            first = rows[0]["step"]
            by_step = {step: row for step, row in by_step.items() if step <= first}
        for row in rows:
            by_step.setdefault(row["step"], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]
