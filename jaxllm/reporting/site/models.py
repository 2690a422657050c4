"""Which results are of one model, so that it has one page for all boards it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxllm.reporting.boards import Board, role_of
from jaxllm.reporting.leaderboard import Entry, Leaderboard
from jaxllm.reporting.results import Result
from jaxllm.reporting.site.file_names import file_name


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A model's line on one board."""

    board: Board
    leaderboard: Leaderboard
    entry: Entry


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model (or a floor) with its standings; `page` names its file."""

    label: str
    page: str
    standings: tuple[Standing, ...]


def find_models(boards: Sequence[tuple[Board, Leaderboard]]) -> tuple[Model, ...]:
    """The models of all boards, in the order in which they are met.

    Results are of one model when they play the same part and have the same weights, told by the
    weights' digest, else by name and step; two of one board that only share the name are two.
    """
    found: dict[tuple[str, ...], list[Standing]] = {}
    for board, leaderboard in boards:
        keys = [_key(entry.result) for entry in leaderboard.entries]
        for key, entry in zip(keys, leaderboard.entries, strict=True):
            if keys.count(key) > 1:
                key = (*key, str(entry.result.folder))
            found.setdefault(key, []).append(
                Standing(board=board, leaderboard=leaderboard, entry=entry)
            )
    return tuple(
        Model(
            label=standings[0].entry.label,
            page=file_name(standings[0].entry.label, "\n".join(key)),
            standings=tuple(standings),
        )
        for key, standings in found.items()
    )


def _key(result: Result) -> tuple[str, ...]:
    model = result.record["model"]
    of_weights = model.get("weights_digest") or f"step {result.step}"
    return model["name"], role_of(result), str(of_weights)
