"""The entries of `config.mixture`: what they may say, and what of their sources they mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.sources import Source, read_source
from jaxllm.input.tokenize import Part
from jaxllm.overrides import nearest_field

_TENTH = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureEntry:
    """An entry of `config.mixture`.

    Attributes:
      source: what `read_source` takes.
      split: which split of it.
      template: the config's where it is empty.
      weight: how often it is drawn from in relation to the other entries with a weight; 0: `repeat`
        says it.
      repeat: how many times an epoch passes over it.
      max_examples: only so many from its start are read; 0: all.
      held_out: the share of its examples that is never trained on, for the evaluator `loss`; from 1
        on so many examples from its start, at most a tenth of them.
      shuffle: whether each pass has an order of its own, or all the order of the source.
      optional: whether the run goes on without it where its data is not here.
      origin: where a person gets its data; of a corpus that is known.
    """

    source: str = ""
    split: str = "train"
    template: str = ""
    weight: float = 0.0
    repeat: int = 1
    max_examples: int = 0
    held_out: float = 0.0
    shuffle: bool = True
    optional: bool = False
    origin: str = ""

    def find(self, data_dir: epath.PathLike) -> Source:
        """Its source; nothing is read yet.

        Raises:
          MissingData: it is not here.
          UserError: it cannot be.
        """
        return read_source(
            self.source,
            split=self.split,
            data_dir=data_dir,
            max_examples=self.max_examples or None,
        )

    def part(self, source: Source, part: Part) -> tuple[Source, float]:
        """What of its source is read for a part, and the share of that which is held out."""
        if self.held_out < 1:
            return source, self.held_out
        count, known = int(self.held_out), source.contents.num_records
        if known is not None:
            count = min(count, max(1, known // _TENTH))
        return source.stretch(*((count, None) if part == "train" else (0, count))), 0.0


def read_entries(config: ConfigDict) -> dict[str, MixtureEntry]:
    """The entries of `config.mixture` by name.

    Raises:
      UserError: there is none, or one has a field that is unknown, mistyped or missing.
    """
    if not len(config.mixture):
        raise UserError(
            "config.mixture is empty: name what to train on, for instance "
            "--config.mixture.mine.source=jsonl:mine.jsonl"
        )
    return {name: _entry(name, config.mixture[name]) for name in config.mixture}


def _entry(name: str, settings: Mapping[str, Any]) -> MixtureEntry:
    where = f"config.mixture.{name}"
    defaults = {field.name: field.default for field in dataclasses.fields(MixtureEntry)}
    for field in settings:
        if field not in defaults:
            nearest = nearest_field(field, defaults)
            hint = f"; did you mean {nearest}?" if nearest else f"; it has {', '.join(defaults)}"
            raise UserError(f"{where} has no field {field}{hint}")
    given = {field: value for field, value in settings.items() if value is not None}
    for field, value in given.items():
        kinds = (int, float) if isinstance(defaults[field], float) else (type(defaults[field]),)
        if type(value) not in kinds:
            raise UserError(f"{where}.{field} is {value!r}; write it like {defaults[field]!r}")
    if not given.get("source"):
        raise UserError(f"{where} has no source: --{where}.source=jsonl:FILE")
    return MixtureEntry(**given)
