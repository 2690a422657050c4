"""Everything a report reads: result folders of ours, and files with cards or scores of others.

What cannot be read, in whole or in part, is named and left out; nothing fails for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etils import epath

from jaxllm.errors import UserError
from jaxllm.reporting.cards import Card, published_results, read_cards
from jaxllm.reporting.results import Result, find_results

_CARD_FILES = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class Material:
    """What was read: results, cards of models, and a sentence on everything left out."""

    results: tuple[Result, ...]
    cards: tuple[Card, ...] = ()
    left_out: tuple[str, ...] = ()


def read_material(places: Iterable[str | epath.Path]) -> Material:
    """The results and cards in folders, those below them, and files.

    Raises UserError where a place does not exist, or where none holds a result.
    """
    results: list[Result] = []
    cards: list[Card] = []
    left_out: list[str] = []
    places = [epath.Path(place) for place in places]
    folders = [place for place in places if not _is_card_file(place)]
    for place in places:
        if not _is_card_file(place):
            continue
        try:
            found = read_cards(place)
        except UserError as error:
            left_out.append(str(error))
            continue
        cards += found
        results += published_results(found, str(place))
    ours = find_results(folders)
    left_out += ours.damaged
    if not results and not ours.results:
        reasons = "".join(f"\n  {reason}" for reason in left_out)
        names = ", ".join(map(str, places))
        raise UserError(f"no readable result in {names}; `jaxllm evaluate` writes one{reasons}")
    return Material(results=(*ours.results, *results), cards=tuple(cards), left_out=tuple(left_out))


def _is_card_file(place: epath.Path) -> bool:
    return place.suffix in _CARD_FILES and place.exists()
