"""What a run had reached at its end: WORKDIR/summary.json, whose presence says that it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxllm.observe.writer import read_scalars

SUMMARY_FILE = "summary.json"


def write_summary(workdir: epath.PathLike, values: Mapping[str, Any]) -> None:
    """Writes `values`, with the last value of every other scalar that the run ever logged."""
    latest: dict[str, Any] = {}
    for row in read_scalars(workdir):
        latest |= row
    latest = {name: value for name, value in latest.items() if name not in ("step", "time")}
    place = epath.Path(workdir) / SUMMARY_FILE
    partial = place.parent / f"{SUMMARY_FILE}.partial"
    partial.write_text(json.dumps({**latest, **values}, indent=2) + "\n", encoding="utf-8")
    partial.replace(place)


def read_summary(workdir: epath.PathLike) -> dict[str, Any]:
    """What `write_summary` wrote; empty where the run has not come to its end."""
    file = epath.Path(workdir) / SUMMARY_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def remove_summary(workdir: epath.PathLike) -> None:
    """What a run does as it begins: it is not at its end."""
    (epath.Path(workdir) / SUMMARY_FILE).unlink(missing_ok=True)
