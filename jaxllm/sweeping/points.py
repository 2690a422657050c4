"""The points of a sweep: what each changes in the config, and the folder it has."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.config import load_sweep
from jaxllm.errors import UserError

_LONGEST_NAME = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep: `changes` are fields of the config by their dotted names."""

    name: str
    changes: Mapping[str, Any]

    @property
    def overrides(self) -> tuple[str, ...]:
        """The changes as they stand behind `--config.` on a command line."""
        return tuple(f"{field}={_text(value)}" for field, value in self.changes.items())


def sweep_points(spec: str) -> tuple[Point, ...]:
    """The points of the sweep in a config file, in its order.

    A point is named by what it changes (`peak_lr=0.001,seed=1`), not by its place: points may be
    added to a sweep later, and the folders of the others stay theirs.

    Raises:
        UserError: as `load_sweep`; there is no point, or two are the same.
    """
    all_changes = load_sweep(spec)
    if not all_changes:
        raise UserError(
            f"sweep(add) in {spec} adds no point; call add({{'field': value}}) for each"
        )
    labels = field_labels(all_changes)
    points: dict[str, Point] = {}
    for changes in all_changes:
        point = Point(name=_name(changes, labels), changes=changes)
        if point.name in points:
            raise UserError(f"sweep(add) in {spec} adds {point.name} twice; take one of them out")
        points[point.name] = point
    return tuple(points.values())


def field_labels(all_changes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """For each field that any point changes its last name, or all of it where that is not one's."""
    fields = list(dict.fromkeys(field for changes in all_changes for field in changes))
    last_names = collections.Counter(field.rpartition(".")[2] for field in fields)
    return {
        field: last if last_names[last := field.rpartition(".")[2]] == 1 else field
        for field in fields
    }


def _name(changes: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    parts = [f"{labels[field]}={_text(value)}" for field, value in changes.items()]
    whole = ",".join(parts) or "unchanged"
    plain = re.sub(r"[^\w.,=+-]+", "_", whole, flags=re.ASCII)
    if plain == whole and len(plain) <= _LONGEST_NAME:
        return plain
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{plain[: _LONGEST_NAME - 9]}-{digest}"


def _text(value: Any) -> str:
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return value if isinstance(value, str) else repr(value)
