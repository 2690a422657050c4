"""What a config's `source` names: a file, a TensorFlow dataset, or one of the project's corpora."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from etils import epath

from jaxllm import corpora
from jaxllm.errors import MissingData, UserError
from jaxllm.input import records
from jaxllm.input.records import Record, parse
from jaxllm.text.example import Example

_WILDCARDS = frozenset("*?[")
_BLOCK = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """What a source holds, without parsing it.

    Attributes:
      digest: sha256 of the content and of the ids of the records.
      num_records: about how many records there are, blank lines counted; None where nobody knows.
    """

    digest: str
    num_records: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Training examples in the order they are stored; iterating reads them one after another.

    Attributes:
      spec: what names it in a config.
      open: gives a fresh iterator over the records.
      examine: finds out the contents; for files it reads them once.
    """

    spec: str
    open: Callable[[], Iterator[Record]]
    examine: Callable[[], Contents]

    @functools.cached_property
    def contents(self) -> Contents:
        """What `examine` finds."""
        return self.examine()

    def stretch(self, start: int, stop: int | None) -> Source:
        """Returns the source of the records from number `start` on, before number `stop`."""

        def examine() -> Contents:
            known = self.contents.num_records
            end = stop if known is None else min(known, known if stop is None else stop)
            return Contents(
                digest=_digest([self.contents.digest, start, stop]),
                num_records=None if end is None else max(0, end - start),
            )

        return Source(
            spec=self.spec,
            open=lambda: itertools.islice(self.open(), start, stop),
            examine=examine,
        )

    def records(self) -> Iterator[Record]:
        """Yields the records as they stand there.

        Raises UserError where there is none.
        """
        records = self.open()
        first = next(records, None)
        if first is None:
            raise UserError(f"{self.spec} holds no example; name a source that holds some")
        yield first
        yield from records

    def __iter__(self) -> Iterator[Example]:
        """Yields the examples.

        Raises UserError with file, line and reason at a record that is none.
        """
        return map(parse, self.records())


def read_source(
    spec: str,
    *,
    split: str = "train",
    data_dir: epath.PathLike,
    max_examples: int | None = None,
) -> Source:
    """Finds what `spec` names; nothing is read yet.

    Args:
      spec: "jsonl:PATH" (also gzipped), "parquet:PATH", "tfds:NAME" or the name of a corpus of
        `jaxllm.corpora` ("mini/nli"; "jaster/NAME" means the same as "NAME"). PATH may hold `*`,
        `{split}` and `{data_dir}`; files are read in the order of their names. A record has one of
        the shapes of `example_from_record`.
      split: which split; of files it only fills in `{split}`.
      data_dir: where prepared corpora and TensorFlow datasets lie.
      max_examples: stop after so many records.

    Raises:
      MissingData: the file or the prepared corpus is not here.
      UserError: an unknown spec.
    """
    if max_examples is not None and max_examples < 1:
        raise UserError(f"{spec}: max_examples is {max_examples}; set it to 1 or more, or to None")
    kind, colon, rest = spec.partition(":")
    if kind == "jsonl" and colon:
        source = _files(spec, _filled_in(rest, split, data_dir), records.jsonl_records)
    elif kind == "parquet" and colon:
        source = _files(spec, _filled_in(rest, split, data_dir), records.parquet_records)
    elif kind == "tfds" and colon:
        source = _tfds(spec, rest, split, epath.Path(data_dir))
    else:
        source = _corpus(spec, split, epath.Path(data_dir))
    return source if max_examples is None else source.stretch(0, max_examples)


def where_to_get(spec: str, data_dir: epath.PathLike) -> str:
    """Says how a person gets a corpus that is not prepared; "" of all else that is not here."""
    name = spec.removeprefix("jaster/")
    if name not in corpora.names() or corpora.is_prepared(name, data_dir):
        return ""
    corpus = corpora.get(name)
    absent = corpora.absent_files(name, data_dir=data_dir)
    by_hand = dict.fromkeys(file.by_hand for file in absent if file.by_hand)
    licence = " --accept_noncommercial" if corpus.noncommercial else ""
    return "; then ".join([*by_hand, f"jaxllm data prepare {name}{licence}"])


def _files(spec: str, pattern: str, read: Callable[[epath.Path], Iterator[Record]]) -> Source:
    paths = _matching_paths(pattern)

    def examine() -> Contents:
        digests, counts = [], []
        for path in paths:
            digest, lines = _digest_and_lines(path)
            digests.append([path.name, digest])
            is_parquet = read is records.parquet_records
            counts.append(records.parquet_length(path) if is_parquet else lines)
        is_packed = any(path.suffix == ".gz" for path in paths)
        return Contents(digest=_digest(digests), num_records=None if is_packed else sum(counts))

    return Source(
        spec=spec,
        open=lambda: itertools.chain.from_iterable(map(read, paths)),
        examine=examine,
    )


def _filled_in(pattern: str, split: str, data_dir: epath.PathLike) -> str:
    return pattern.replace("{split}", split).replace("{data_dir}", os.fspath(data_dir))


def _matching_paths(pattern: str) -> list[epath.Path]:
    path = epath.Path(pattern).expanduser()
    if path.exists():  # also a file whose name holds a wildcard character
        if path.is_dir():
            raise UserError(f"{pattern} is a folder; name its files, as in {pattern}/*.jsonl")
        return [path]
    parts = path.parts
    first = next((i for i, part in enumerate(parts) if _WILDCARDS & set(part)), None)
    if first is None:
        raise MissingData(f"there is no file {pattern}")
    root = epath.Path(*parts[:first]) if first else epath.Path(".")
    matches = sorted(root.glob("/".join(parts[first:]))) if root.exists() else []
    if not matches:
        raise MissingData(f"no file matches {pattern}")
    return matches


def _digest_and_lines(path: epath.Path) -> tuple[str, int]:
    """Returns the sha256 of a file and the number of its lines."""
    digest, lines, block = hashlib.sha256(), 0, b"\n"
    with path.open("rb") as file:
        while more := file.read(_BLOCK):
            digest.update(more)
            lines += more.count(b"\n")
            block = more
    return digest.hexdigest(), lines + (not block.endswith(b"\n"))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _tfds(spec: str, name: str, split: str, data_dir: epath.Path) -> Source:
    import tensorflow_datasets as tfds

    try:
        rows = tfds.data_source(name, split=split, data_dir=data_dir, download=False)
    except Exception as error:  # TFDS raises a dozen unrelated types here
        reason = str(error).strip().partition("\n")[0]  # and goes on with all it knows by name
        raise MissingData(
            f"tfds:{name} (split {split!r}) cannot be read from {data_dir}: {reason} "
            "(it must be prepared there, with file_format='array_record')"
        ) from error

    def examine() -> Contents:
        files = sorted(epath.Path(rows.dataset_info.data_dir).iterdir())
        digests = [[path.name, _digest_and_lines(path)[0]] for path in files]
        return Contents(digest=_digest([name, split, digests]), num_records=len(rows))

    return Source(spec=spec, open=lambda: records.tfds_records(name, rows), examine=examine)


def _corpus(spec: str, split: str, data_dir: epath.Path) -> Source:
    name = spec.removeprefix("jaster/")
    known = corpora.names()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.4))
        raise UserError(
            f"unknown source {spec!r}; write jsonl:PATH, parquet:PATH, tfds:NAME, or the name of a"
            f" corpus that `jaxllm data list` shows{near and f', such as {near}'}"
        )
    info = corpora.info(name, data_dir)
    load = functools.partial(corpora.load, name, split, data_dir=data_dir)
    if split not in info["splits"]:
        load()  # says why
    contents = Contents(
        digest=_digest([name, split, info["sha256"][split]]), num_records=info["splits"][split]
    )
    return Source(
        spec=spec,
        open=lambda: records.corpus_records(name, load()),
        examine=lambda: contents,
    )
