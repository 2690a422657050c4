"""Model cards: what is known of models that were not trained or measured here.

A card file is YAML or JSON:

    models:
    - name: llm-jp-3-13b                # as results call the model
      parameters: 13.7e9
      tokens: 2.1e12                    # seen in all of its training
      training_flops: 1.7e23            # 6 * parameters * tokens where it is not told
      lineage: [{mixture: [jaster/jnli, dolly]}]
      scores:                           # published ones, without samples or intervals
      - {suite: llm-jp-eval, average: 0.5802, categories: {NLI: 0.911}}
      - {benchmark: mt_bench_ja, judge: gpt-4, score: 6.469, maximum: 10}

All but the name may be missing. A score's `split` and `num_shots` tell what it stands beside,
`average_name` what its column is called. The cards of LLM-jp's models come with the program.
"""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from etils import epath

from jaxllm.errors import UserError
from jaxllm.reporting.results import Result

_FIELDS = ("name", "parameters", "tokens", "training_flops", "lineage", "scores")
_OF_SUITE = ("suite", "split", "num_shots", "average_name", "average", "categories")
_OF_BENCHMARK = ("benchmark", "judge", "score", "maximum")
_FLOPS_PER_PARAMETER_AND_TOKEN = 6  # forward and backward (Kaplan et al. 2020)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a model; None where it is not.

    `lineage` is as in a result's `model.lineage`, `scores` are those of the file.
    """

    name: str
    parameters: float | None = None
    tokens: float | None = None
    training_flops: float | None = None
    lineage: tuple[Mapping[str, Any], ...] = ()
    scores: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def flops(self) -> float | None:
        """Operations of its training, estimated from size and tokens where they are not told."""
        if self.training_flops is not None or self.parameters is None or self.tokens is None:
            return self.training_flops
        return _FLOPS_PER_PARAMETER_AND_TOKEN * self.parameters * self.tokens


def built_in_cards() -> tuple[Card, ...]:
    """The cards of LLM-jp's released models."""
    file = importlib.resources.files("jaxllm.reporting") / "llm_jp_models.yaml"
    return cards_of(yaml.safe_load(file.read_text(encoding="utf-8")), str(file))


def read_cards(path: str | epath.Path) -> tuple[Card, ...]:
    """The cards of a file; raises UserError naming the model and field that is wrong."""
    path = epath.Path(path)
    try:
        return cards_of(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML or JSON: {error}") from error


def cards_of(data: Any, where: str) -> tuple[Card, ...]:
    """The cards in the contents of a file, `where` names it; raises UserError."""
    models = data.get("models") if isinstance(data, dict) else None
    if not isinstance(models, list) or not models:
        raise UserError(f"{where} holds no cards: write `models:`, a list with a `name` each")
    return tuple(_card(entry, f"{where}: models[{index}]") for index, entry in enumerate(models))


def published_results(cards: Iterable[Card], source: str) -> tuple[Result, ...]:
    """The published scores of the cards as results without tasks or samples."""
    return tuple(
        _result(card, score, epath.Path(source) / str(number) / card.name)
        for card in cards
        for number, score in enumerate(card.scores)
    )


def _card(entry: Any, where: str) -> Card:
    if not isinstance(entry, dict):
        raise UserError(f"{where} is {entry!r}, not a mapping with a name")
    _check_names(entry, _FIELDS, where)
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise UserError(f"{where}: name is {name!r}, not a text")
    where = f"{where} ({name})"
    numbers = {
        key: _number(entry[key], f"{where}: {key}")
        for key in ("parameters", "tokens", "training_flops")
        if entry.get(key) is not None
    }
    lineage, scores = entry.get("lineage") or [], entry.get("scores") or []
    for key, value in (("lineage", lineage), ("scores", scores)):
        if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
            raise UserError(f"{where}: {key} is {value!r}, not a list of mappings")
    for index, score in enumerate(scores):
        _check_score(score, f"{where}: scores[{index}]")
    return Card(name=name, **numbers, lineage=tuple(lineage), scores=tuple(scores))


def _check_score(score: Mapping[str, Any], where: str) -> None:
    of_suite = isinstance(score.get("suite"), str)
    if of_suite == isinstance(score.get("benchmark"), str):
        raise UserError(f"{where} needs a `suite`, or a judged `benchmark`: one of the two")
    _check_names(score, _OF_SUITE if of_suite else _OF_BENCHMARK, where)
    categories = score.get("categories") or {}
    if not isinstance(categories, dict):
        raise UserError(f"{where}: categories is {categories!r}, not a mapping of scores")
    values = dict(categories)
    values |= {key: score[key] for key in ("average", "score") if score.get(key) is not None}
    if not values:
        raise UserError(f"{where} has no score")
    best = _number(score.get("maximum", 1.0), f"{where}: maximum")
    for key, value in values.items():
        if not 0 <= _number(value, f"{where}: {key}", positive=False) <= best:
            raise UserError(f"{where}: {key} is {value!r}, and the scale ends at {best:g}")


def _check_names(entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise UserError(f"{where} has an unknown field {key!r}; there are {', '.join(known)}")


def _number(value: Any, where: str, *, positive: bool = True) -> float:
    try:
        number = float(value)  # YAML takes 2.1e12 for a text
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool) or (positive and number <= 0):
        raise UserError(f"{where} is {value!r}, not a number{' above 0' if positive else ''}")
    return number


def _result(card: Card, score: Mapping[str, Any], folder: epath.Path) -> Result:
    record: dict[str, Any] = {
        "suite": score.get("suite") or score["benchmark"],
        "split": score.get("split", "test"),
        "num_shots": score.get("num_shots"),
        "model": {"name": card.name, "lineage": list(card.lineage)},
        "run": {"kind": None, "step": None, "tokens": None},
        "tasks": {},
        "categories": {},
        "average": {"name": "mean", "mean": None, "missing": [], "missing_tasks": []},
    }
    if "suite" in score:
        categories = {key: float(value) for key, value in (score.get("categories") or {}).items()}
        record["categories"] = {
            key: {"mean": value, "interval": None} for key, value in categories.items()
        }
        record["average"] |= {
            "name": score.get("average_name", "AVR"),
            "mean": None if score.get("average") is None else float(score["average"]),
            "interval": None,
        }
        return Result(folder=folder, record=record)
    maximum, mean = float(score.get("maximum", 1.0)), float(score["score"])
    record["judge"] = {"model": score.get("judge")}
    record["overall"] = {"score": {"mean": mean, "interval": None, "maximum": maximum}}
    record["average"] |= {"mean": mean / maximum, "interval": None}
    return Result(folder=folder, record=record)
