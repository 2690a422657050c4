"""What a corpus is here: one frozen description, and the TFDS builder that turns it into files.

A file per origin (`jglue.py`, `mawps.py`, ...) declares one `Corpus` for every data set it yields
and one `CorpusBuilder` subclass that lists them as its TFDS configs. Adding a corpus is adding such
a description; preparing, checking, loading and exporting are the same for all.

Rows are stored as ArrayRecord, which TFDS reads and writes without TensorFlow. TFDS shuffles rows
by key, so every row carries its index and `store.load` restores the order: scores with few-shot
prompts depend on it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from jaxllm.corpora import raw
from jaxllm.errors import MissingData, UserError

# (what is going on, how much is done, how much there is or None): bytes when fetching, else rows.
ProgressCallback = Callable[[str, int, int | None], None]


class Pair(NamedTuple):
    """One question and its answer as the corpus states them.

    `instruction` is the row's own, where the corpus has no instruction for all rows.
    """

    input: str
    output: str
    instruction: str = ""


class Turn(NamedTuple):
    """What one side says: `role` is system, user or assistant."""

    role: str
    content: str


class Conversation(NamedTuple):
    """Several turns, the last of them an answer."""

    messages: tuple[Turn, ...]


class Preference(NamedTuple):
    """One question with a better answer and a worse one."""

    prompt: str
    chosen: str
    rejected: str


Row = Pair | Conversation | Preference
# The texts that are stored of a row, by the form of its corpus.
TEXT_FIELDS = {"pair": ("instruction", "input", "output"), "preference": Preference._fields}
# Gives the local path of a raw file or folder, by its `path`.
OpenRaw = Callable[[str], epath.Path]
# Gives some of a corpus's splits, in their final order.
Reader = Callable[[OpenRaw], Mapping[str, Sequence[Row]]]


class OtherRows(UserError):
    """Raw data that came out as other rows than the pinned ones.

    `found` maps each split to the number of its rows and the sha256 of their canonical JSON.
    """

    def __init__(self, message: str, found: Mapping[str, tuple[int, str]]):
        super().__init__(message)
        self.found = found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """One data set: where it comes from, how it reads, and what it must be once prepared.

    Each of `readers` gets a function from a raw file's `path` to a readable path and returns some
    of `splits` in their final order: splits that need different raw files have readers of their
    own, so that a corpus goes on without the split whose file is not here. `instruction`,
    `output_length` and `metrics` are the head of the llm-jp-eval file of the same name. `sha256`,
    where known, holds the digest each split's canonical JSON must have: preparing refuses anything
    else, unless `unverified` says in which point the form of the data is not known for sure.
    Of these digests those of the splits in `published` were published by others; the rest are
    derived, by a reader that yields the published ones.
    `form` says what its rows are: a `Pair` each, a `Conversation` or a `Preference`.
    A `noncommercial` corpus is prepared only for a person who says that they accept its licence.
    """

    name: str
    version: str = "1.1.0"
    source: str
    licence: str
    files: tuple[raw.RawFile | raw.RawFolder, ...] = ()
    splits: tuple[str, ...] = ("train", "dev", "test")
    instruction: str = ""
    output_length: int = 0
    metrics: tuple[str, ...] = ()
    sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    published: tuple[str, ...] = ("dev",)
    form: Literal["pair", "conversation", "preference"] = "pair"
    unverified: str = ""
    noncommercial: bool = False
    readers: tuple[Reader, ...]


def canonical_json(corpus: Corpus, rows: Sequence[Row]) -> str:
    """The split as llm-jp-eval 1.1 to 1.4 writes it, byte for byte: its digest is the identity.

    Keys in that tool's order, four spaces, non-ASCII kept, no newline at the end; `few_shots` has
    been empty since 1.1 and is written all the same. Rows that it has no form for, with an
    instruction of their own or several turns, stand among the samples under the names used here.
    """
    document = {
        "instruction": corpus.instruction,
        "output_length": corpus.output_length,
        "metrics": list(corpus.metrics),
        "few_shots": [],
        "samples": [_sample(row) for row in rows],
    }
    return json.dumps(document, ensure_ascii=False, indent=4)


def _sample(row: Row) -> dict[str, Any]:
    if isinstance(row, Conversation):
        return {"messages": [turn._asdict() for turn in row.messages]}
    if isinstance(row, Preference):
        return row._asdict()
    own = {"instruction": row.instruction} if row.instruction else {}
    return {**own, "input": row.input, "output": row.output}


def digest(text: str) -> str:
    """Hexadecimal sha256 of the UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclasses.dataclass(eq=False, kw_only=True)
class CorpusConfig(tfds.core.BuilderConfig):
    """The TFDS config that carries one `Corpus`; its name is the part after the last slash."""

    corpus: Corpus


def configs(*corpora: Corpus) -> list[CorpusConfig]:
    """The `BUILDER_CONFIGS` of an origin that yields these corpora."""
    return [
        CorpusConfig(
            name=corpus.name.rpartition("/")[2],
            version=corpus.version,
            description=f"{corpus.source}; licence: {corpus.licence}",
            corpus=corpus,
        )
        for corpus in corpora
    ]


class CorpusBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes the corpus of its config; subclasses only name the origin and list the configs.

    `raw_dir` and `progress` are set by `store.prepare` before preparing; with plain TFDS calls the
    raw files are those below the environment variable JAXLLM_RAW_DIR, or downloaded.
    """

    VERSION = tfds.core.Version("1.1.0")
    raw_dir: str | os.PathLike[str] | None = None
    progress: ProgressCallback = staticmethod(lambda what, done, total: None)

    @property
    def corpus(self) -> Corpus:
        """The description this builder was made for."""
        return self.builder_config.corpus

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        fields: dict[str, Any] = {"index": np.int64, "id": text()}
        if self.corpus.form == "conversation":
            turn = {"role": text(), "content": text()}
            fields["messages"] = tfds.features.Sequence(turn)
        else:
            fields |= {name: text() for name in TEXT_FIELDS[self.corpus.form]}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.builder_config.description,
            license=self.corpus.licence,
            features=tfds.features.FeaturesDict(fields),
            metadata=tfds.core.MetadataDict(),
        )

    def _log_download_bytes(self) -> None:
        """Says nothing: `progress` tells what goes on."""

    def _log_download_done(self) -> None:
        """Says nothing: `progress` tells what goes on."""

    def _split_generators(self, dl_manager):
        splits, missing = self.read_splits()
        sha256 = {
            split: digest(canonical_json(self.corpus, rows)) for split, rows in splits.items()
        }
        for split, found in sha256.items():
            expected = self.corpus.sha256.get(split, found)
            if found != expected and not self.corpus.unverified:
                raise OtherRows(
                    f"{self.corpus.name}/{split} came out with sha256 {found}, not"
                    f" {expected}: the code that reads it no longer yields the published data",
                    {name: (len(rows), sha256[name]) for name, rows in splits.items()},
                )
        self.info.metadata["sha256"] = sha256
        self.info.metadata["missing"] = missing
        return {split: self._generate_examples(split, rows) for split, rows in splits.items()}

    def read_splits(self) -> tuple[dict[str, Sequence[Row]], dict[str, str]]:
        """The splits whose raw files are here, and for each other one why it is not.

        Raises MissingData when there is no split at all, UserError on raw files that are wrong.
        """
        found: dict[str, Sequence[Row]] = {}
        reasons = []
        for reader in self.corpus.readers:
            try:
                found.update(reader(self._open_raw))
            except MissingData as error:
                reasons.append(error)
        if not found:
            raise reasons[0]
        why = "; ".join(map(str, reasons))
        return found, {split: why for split in self.corpus.splits if split not in found}

    def _generate_examples(
        self, split: str, rows: Sequence[Row]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        name = self.corpus.name
        for index, row in enumerate(rows):
            yield index, {"index": index, "id": f"{name}-{split}-{index}", **self._fields(row)}
            if (index + 1) % 500 == 0 or index + 1 == len(rows):
                self.progress(f"prepare {name}/{split}", index + 1, len(rows))

    def _fields(self, row: Row) -> dict[str, Any]:
        if isinstance(row, Conversation):
            return {"messages": [turn._asdict() for turn in row.messages]}
        if isinstance(row, Preference):
            return row._asdict()
        return {**row._asdict(), "instruction": row.instruction or self.corpus.instruction}

    def _open_raw(self, path: str) -> epath.Path:
        (file,) = (file for file in self.corpus.files if file.path == path)
        return raw.fetch(
            file,
            raw_dir=self.raw_dir,
            download_dir=self.download_dir,
            progress=self.progress,
        )

    @property
    def download_dir(self) -> epath.Path:
        """Where raw files that are downloaded end up."""
        return epath.Path(self._data_dir_root) / "raw"
