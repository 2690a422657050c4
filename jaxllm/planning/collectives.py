"""What a compiled program sends between devices, read from its optimized HLO.

A collective in the body of a loop counts as often as the loop turns. XLA:TPU spreads one that runs
beside arithmetic over several fusions, which share its channel: it counts once. Bytes are those
that one device sends in the best algorithm on a ring: (n - 1) / n of the whole array to gather or
to scatter it, twice that to reduce it everywhere.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from collections.abc import Mapping

import numpy as np

_KINDS = (
    *("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
)
_BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128}

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_OPERATION = re.compile(
    rf"^\s*(?:ROOT )?%?[\w.\-]+ = (?P<shape>.+?) (?P<kind>{'|'.join(_KINDS)})(?P<start>-start)?\("
)
_CALLED = re.compile(r"(?:calls|body|to_apply|condition)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r" while\(.*condition=%?([\w.\-]+)")
_LIMIT = re.compile(r"[su]32\[\](?:\{[^}]*\})? constant\((\d+)\)")
_CHANNEL = re.compile(r"channel_id=(\d+)")
_ARRAY = re.compile(r"\b(pred|bf16|[fsuc]\d+(?:e\w+)?)\[([\d,]*)\]")
_LISTED = re.compile(r"replica_groups=\{(\{[\d,{} ]*\})\}")
_IOTA = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_NAMED = re.compile(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(([\d,]*)\))? ?\{([^}]*)\}")
_PAIRS = re.compile(r"source_target_pairs=\{(\{[\d,{} ]*\})\}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collective:
    """All collectives of one kind over the same axes.

    Attributes:
      axes: of the mesh, along which the devices of a group differ.
      count: how many run in a call of the program.
      bytes: that one device sends in a call.
      slow_bytes: those of them that go to another slice.
    """

    kind: str
    axes: tuple[str, ...]
    count: int
    bytes: float
    slow_bytes: float = 0.0


def find_collectives(
    hlo: str, mesh_shape: Mapping[str, int], num_slices: int = 1
) -> list[Collective]:
    """The collectives of an optimized program, most bytes first.

    Args:
        hlo: as `compiled.as_text()` gives it.
        mesh_shape: axes of the mesh by name, outermost first.
        num_slices: in how many slices the outermost axis is cut.
    """
    lines = _computations(hlo)
    turns = _turns(hlo, lines)
    found: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    seen: set[str] = set()
    for name, body in lines.items():
        for line in body:
            operation = _OPERATION.match(line)
            if operation is None or not turns[name]:
                continue
            if channel := _CHANNEL.search(line):
                if channel[1] in seen:
                    continue
                seen.add(channel[1])
            kind = operation["kind"]
            group = _group(line, mesh_shape)
            size = _bytes(operation["shape"], is_start=operation["start"] is not None)
            # XLA:TPU writes a reduce-scatter as a fused all-reduce whose result is cut.
            if kind == "all-reduce" and name.startswith("all-reduce-scatter"):
                kind, size = "reduce-scatter", size / len(group)
            sent = _sent(kind, size, len(group)) * turns[name]
            total = found.setdefault((kind, _axes(group, mesh_shape)), [0, 0.0, 0.0])
            total[0] += turns[name]
            total[1] += sent
            total[2] += _slow(sent, group, math.prod(mesh_shape.values()), num_slices)
    merged = [
        Collective(kind=kind, axes=axes, count=int(count), bytes=sent, slow_bytes=slow)
        for (kind, axes), (count, sent, slow) in found.items()
    ]
    return sorted(merged, key=lambda one: -one.bytes)


def _computations(hlo: str) -> dict[str, list[str]]:
    """The lines of each computation by its name."""
    lines: dict[str, list[str]] = {}
    current: list[str] = []
    for line in hlo.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            current = lines.setdefault(head[1], [])
        else:
            current.append(line)
    return lines


def _turns(hlo: str, lines: Mapping[str, list[str]]) -> dict[str, int]:
    """How often each computation runs in a call; both ways of a branch count."""
    calls: dict[str, list[tuple[str, int]]] = collections.defaultdict(list)
    for name, body in lines.items():
        for line in body:
            times = _loop_turns(line, lines)
            called = _CALLED.findall(line)
            for branches in _BRANCHES.findall(line):
                called += re.findall(r"[\w.\-]+", branches)
            calls[name] += [(inner, times) for inner in called if inner in lines]
    entry = re.search(r"^ENTRY %?([\w.\-]+)", hlo, re.MULTILINE)
    turns: dict[str, int] = collections.defaultdict(int)

    def visit(name: str, times: int) -> None:
        turns[name] += times
        for inner, turned in calls[name]:
            visit(inner, times * turned)

    if entry:
        visit(entry[1], 1)
    return turns


def _loop_turns(line: str, lines: Mapping[str, list[str]]) -> int:
    """How often what a line calls is run: once, or as a loop's condition counts from 0."""
    if told := _TURNS.search(line):
        return int(told[1])
    condition = _CONDITION.search(line)
    limits = [
        int(limit)
        for inner in (lines.get(condition[1], []) if condition else [])
        for limit in _LIMIT.findall(inner)
    ]
    return limits[0] if len(limits) == 1 else 1


def _bytes(shape: str, *, is_start: bool) -> float:
    """Of the result; the start of an asynchronous collective gives operand and result."""
    arrays = [
        math.prod(int(size) for size in sizes.split(",") if size) * _bits(dtype) / 8
        for dtype, sizes in _ARRAY.findall(shape)
    ]
    if is_start and shape.startswith("("):
        return max(arrays, default=0.0)
    return sum(arrays)


def _bits(dtype: str) -> int:
    digits = re.match(r"[fsuc](\d+)", dtype)
    return _BITS.get(dtype) or (int(digits[1]) if digits else 0)


def _group(line: str, mesh_shape: Mapping[str, int]) -> tuple[int, ...]:
    """The devices of one group, as places in the mesh."""
    if iota := _IOTA.search(line):
        sizes, dims, order = (
            [int(number) for number in part.split(",")] if part else None for part in iota.groups()
        )
        assert sizes is not None
        assert dims is not None
        ids = np.arange(math.prod(dims)).reshape(dims)
        return tuple((ids if order is None else ids.transpose(order)).reshape(sizes)[0].tolist())
    if named := _NAMED.search(line):
        return _named_group(*named.groups())
    listed = _LISTED.search(line) or _PAIRS.search(line)
    if listed:
        groups = [tuple(map(int, one.split(","))) for one in re.findall(r"\{([\d,]+)\}", listed[1])]
        moving = [group for group in groups if len(set(group)) > 1]
        return (moving or groups)[0]
    return tuple(range(math.prod(mesh_shape.values())))


def _named_group(axes: str, order: str | None, along: str) -> tuple[int, ...]:
    """The first group of `mesh['x'=4,'y'=2] {'x'}`; `'x':(2)2` is a part of x, after 2 others."""
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", axes)}
    ids = np.arange(math.prod(sizes.values()))
    if order:
        ids = ids[[int(number) for number in order.split(",")]]
    shape: list[int] = []
    moves: list[bool] = []
    parts = dict(re.findall(r"'([^']+)'(?::\((\d+)\))?", along))
    lengths = dict(re.findall(r"'([^']+)':\(\d+\)(\d+)", along))
    for name, size in sizes.items():
        before = int(parts.get(name) or 1)
        length = int(lengths.get(name, size))
        shape += [before, length, size // before // length]
        moves += [False, name in parts, False]
    place = tuple(slice(None) if moving else 0 for moving in moves)
    return tuple(ids.reshape(shape)[place].reshape(-1).tolist())


def _axes(group: tuple[int, ...], mesh_shape: Mapping[str, int]) -> tuple[str, ...]:
    places = np.array(np.unravel_index(np.array(group), tuple(mesh_shape.values())))
    varies = (places != places[:, :1]).any(axis=1)
    return tuple(name for name, moves in zip(mesh_shape, varies, strict=True) if moves)


def _sent(kind: str, size: float, members: int) -> float:
    share = (members - 1) / members
    match kind:
        case "reduce-scatter":
            return size * (members - 1)
        case "all-reduce":
            return 2 * size * share
        case "collective-permute" | "collective-broadcast":
            return size
        case _:
            return size * share


def _slow(sent: float, group: tuple[int, ...], num_devices: int, num_slices: int) -> float:
    """Bytes to another slice, where each slice first works on its own: devices send a share."""
    slices = {member * num_slices // num_devices for member in group}
    return 0.0 if len(slices) == 1 else sent * len(slices) / len(group)
