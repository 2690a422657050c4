"""Everything a report reads: result folders of ours, and files with cards or scores of others.

    a folder                      our results, and below it the files of the next three
    results_*.json                lm-evaluation-harness, with its samples_*.jsonl beside it
    score_table.json              llm-jp-judge
    another .json                 a result of llm-jp-eval, where it has scores
    .yaml, .yml                   model cards (`jaxllm.reporting.cards`); only where named

What cannot be read, in whole or in part, is named and left out; nothing fails for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from etils import epath

from jaxllm.errors import UserError
from jaxllm.reporting.cards import Card, published_results, read_cards
from jaxllm.reporting.llm_jp_scores import (
    SCORE_TABLE,
    read_llm_jp_eval_scores,
    read_score_table,
)
from jaxllm.reporting.lm_eval_results import read_lm_eval
from jaxllm.reporting.results import (
    NOT_SEARCHED,
    SEARCH_DEPTH,
    DamagedResult,
    Result,
    find_results,
    is_result_folder,
)

_CARD_FILES = (".yaml", ".yml")
_GENERATED = (".eval-generated.json", ".eval-prompt.json")  # llm-jp-eval's, without scores


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
    paths = [epath.Path(place) for place in places]
    for place in paths:
        if not place.exists():
            raise UserError(f"{place} does not exist; give result folders, or a run's workdir")
    ours = find_results([place for place in paths if place.is_dir()])
    found = _Found(left_out=list(ours.damaged))
    for place in paths:
        if place.is_dir():
            for path in _foreign_files(place, SEARCH_DEPTH):
                found.read(path, named=False)
        else:
            found.read(place, named=True)
    results = (*ours.results, *found.results)
    if not results:
        reasons = "".join(f"\n  {reason}" for reason in found.left_out)
        names = ", ".join(map(str, paths))
        raise UserError(f"no readable result in {names}; `jaxllm evaluate` writes one{reasons}")
    return Material(results=results, cards=tuple(found.cards), left_out=tuple(found.left_out))


@dataclass(kw_only=True)
class _Found:
    results: list[Result] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def read(self, path: epath.Path, *, named: bool) -> None:
        """Reads a file by its name; JSON of no known kind is only told of where it was named."""
        try:
            if path.suffix in _CARD_FILES:
                cards = read_cards(path)
                self.cards += cards
                self.results += published_results(cards, str(path))
            elif path.name.startswith("results_"):
                result, left_out = read_lm_eval(path)
                self.left_out += left_out
                self.results += [result] if result else []
            elif path.name == SCORE_TABLE:
                self.results += read_score_table(path)
            elif (result := read_llm_jp_eval_scores(path)) is not None:
                self.results.append(result)
            elif named:
                self.left_out.append(f"{path}: no result of a program that is known here")
        except (DamagedResult, UserError) as error:
            self.left_out.append(str(error))


def _foreign_files(folder: epath.Path, depth: int) -> Iterator[epath.Path]:
    """JSON files that may be results; those inside a result of ours say the same once more."""
    if is_result_folder(folder):
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if depth and path.name not in NOT_SEARCHED and not path.name.startswith("."):
                yield from _foreign_files(path, depth - 1)
        elif path.suffix == ".json" and not path.name.endswith(_GENERATED):
            yield path
