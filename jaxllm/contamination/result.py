"""What was found, and the folder it is kept in.

    FOLDER/overlap.json       sources, sets with counts and their worst pairs, what was not compared
    FOLDER/samples.jsonl      one line for each sample and source that overlap, with how much

`samples.jsonl` is written first, so that a folder with an `overlap.json` is whole.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

import jaxllm
from jaxllm.contamination.limits import CHARACTER_N, SIMILAR_FROM, WORD_N
from jaxllm.contamination.passages import Passage
from jaxllm.errors import UserError
from jaxllm.reporting.results import to_json, write_whole_file

SCHEMA = "jaxllm.overlap/1"
_BINS = np.linspace(0, 1, 11)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOverlap:
    """How much of a sample stands in a source.

    `words` and `characters` are the shares of its n-grams that the source's examples hold together,
    `similarity` is that of its nearest near-duplicate (0: none), and `example` the one example that
    holds most of it.
    """

    set: str
    id: str
    source: str
    words: float
    characters: float
    similarity: float
    example: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """A sample and an example that share much, side by side; the shares are of this example."""

    id: str
    source: str
    example: str
    words: float
    characters: float
    similarity: float
    evaluated: Passage
    trained: Passage


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetOverlap:
    """One evaluation set: who asks it, its size, and the pairs that share most, the worst first."""

    name: str
    data_sha256: str
    tasks: tuple[str, ...]
    num_samples: int
    worst: tuple[Pair, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlap:
    """All that was found: `sources` counts the examples of each, `missing` says what has no set."""

    split: str
    sources: Mapping[str, int]
    sets: tuple[SetOverlap, ...]
    samples: tuple[SampleOverlap, ...]
    missing: Mapping[str, str]

    def samples_of(self, set_name: str, source: str | None = None) -> list[SampleOverlap]:
        """The overlapping samples of a set, with one source or with any."""
        return [
            sample
            for sample in self.samples
            if sample.set == set_name and source in (None, sample.source)
        ]


def write_overlap(folder: str | os.PathLike[str], overlap: Overlap) -> None:
    """Writes both files; an older result there is replaced."""
    folder = epath.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overlap.json").unlink(missing_ok=True)
    lines = [to_json(dataclasses.asdict(sample)) + "\n" for sample in overlap.samples]
    write_whole_file(folder / "samples.jsonl", "".join(lines))
    write_whole_file(folder / "overlap.json", to_json(summary(overlap), indent=1) + "\n")


def summary(overlap: Overlap) -> dict[str, Any]:
    """What overlap.json holds."""
    return {
        "schema": SCHEMA,
        "code_version": jaxllm.__version__,
        "word_ngram": WORD_N,
        "character_ngram": CHARACTER_N,
        "similar_from": SIMILAR_FROM,
        "split": overlap.split,
        "sources": dict(overlap.sources),
        "sets": [
            {
                **dataclasses.asdict(found),
                "overlapping": len({sample.id for sample in overlap.samples_of(found.name)}),
                "by_source": {
                    source: _counts(samples, found.num_samples)
                    for source in overlap.sources
                    if (samples := overlap.samples_of(found.name, source))
                },
            }
            for found in overlap.sets
        ],
        "missing": dict(overlap.missing),
    }


def _counts(samples: list[SampleOverlap], num_samples: int) -> dict[str, Any]:
    """Samples with any overlap by kind, and how many are covered how far.

    Of `words_covered` and `characters_covered` the first is the number of samples without a shared
    n-gram, then follow those up to a tenth, up to two tenths, ... of whose n-grams are shared.
    """
    counts: dict[str, Any] = {
        "overlapping": len(samples),
        "words": sum(sample.words > 0 for sample in samples),
        "characters": sum(sample.characters > 0 for sample in samples),
        "near_duplicates": sum(sample.similarity > 0 for sample in samples),
    }
    for kind in ("words", "characters"):
        shares = [getattr(sample, kind) for sample in samples if getattr(sample, kind) > 0]
        tenths = np.bincount(np.searchsorted(_BINS, shares), minlength=len(_BINS))
        tenths[0] = num_samples - len(shares)
        counts[f"{kind}_covered"] = tenths.tolist()
    return counts


def read_overlapping(folder: str | os.PathLike[str]) -> dict[str, frozenset[str]]:
    """The ids of the overlapping samples of each set, by the sha256 of the set's data.

    Raises:
      UserError: the folder is none of `write_overlap`, or a file in it is damaged.
    """
    folder = epath.Path(folder)
    path = folder / "overlap.json"
    try:
        found = json.loads(path.read_bytes())
        if found["schema"] != SCHEMA:
            raise UserError(f"{path}: not of the schema {SCHEMA}; run `jaxllm data overlap` again")
        digests = {entry["name"]: entry["data_sha256"] for entry in found["sets"]}
        ids: dict[str, set[str]] = {digest: set() for digest in digests.values()}
        path = folder / "samples.jsonl"
        for line in path.read_bytes().splitlines():
            sample = json.loads(line)
            ids[digests[sample["set"]]].add(sample["id"])
    except OSError as error:
        raise UserError(
            f"{path} cannot be read; `jaxllm data overlap --out={folder}` writes it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error!r}); run `jaxllm data overlap` again") from error
    return {digest: frozenset(found) for digest, found in ids.items()}
