"""Read training examples from a file, a TensorFlow dataset, or one of the project's own corpora."""

from __future__ import annotations

import difflib
import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from etils import epath

from jaxllm import corpora
from jaxllm.errors import UserError
from jaxllm.text.example import Example, example_from_record

_WILDCARDS = frozenset("*?[")


def read_source(
    spec: str,
    *,
    split: str = "train",
    data_dir: epath.PathLike,
    max_examples: int | None = None,
) -> list[Example]:
    """Reads the examples a config's source names, in the order they are stored.

    Args:
      spec: "jsonl:PATH" (also gzipped), "parquet:PATH", "tfds:NAME" or the name of a corpus of
        `jaxllm.corpora` ("mini/nli"; "jaster/NAME" means the same as "NAME"). PATH may hold `*`
        and `{split}`; files are read in the order of their names. A record has one of the shapes
        of `example_from_record`.
      split: which split; of files it only fills in `{split}`.
      data_dir: where prepared corpora and TensorFlow datasets lie.
      max_examples: stop after so many.

    Raises:
      UserError: nothing found, an unknown spec, or a record that is no example (told with file,
        line and reason).
    """
    if max_examples is not None and max_examples < 1:
        raise UserError(f"{spec}: max_examples is {max_examples}; set it to 1 or more, or to None")
    kind, colon, rest = spec.partition(":")
    if kind == "jsonl" and colon:
        examples = _read_files(rest, split, _read_jsonl)
    elif kind == "parquet" and colon:
        examples = _read_files(rest, split, _read_parquet)
    elif kind == "tfds" and colon:
        examples = _read_tfds(rest, split, epath.Path(data_dir))
    else:
        examples = _read_corpus(spec, split, epath.Path(data_dir))
    found = list(itertools.islice(examples, max_examples))
    if not found:
        raise UserError(f"{spec} (split {split!r}) holds no example; name a source that holds some")
    return found


def _read_files(
    pattern: str, split: str, reader: Callable[[epath.Path], Iterator[Example]]
) -> Iterator[Example]:
    for path in _matching_paths(pattern.replace("{split}", split)):
        yield from reader(path)


def _matching_paths(pattern: str) -> list[epath.Path]:
    path = epath.Path(pattern).expanduser()
    if path.exists():  # also a file whose name holds a wildcard character
        if path.is_dir():
            raise UserError(f"{pattern} is a folder; name its files, as in {pattern}/*.jsonl")
        return [path]
    parts = path.parts
    first = next((i for i, part in enumerate(parts) if _WILDCARDS & set(part)), None)
    if first is None:
        raise UserError(f"there is no file {pattern}")
    root = epath.Path(*parts[:first]) if first else epath.Path(".")
    matches = sorted(root.glob("/".join(parts[first:]))) if root.exists() else []
    if not matches:
        raise UserError(f"no file matches {pattern}")
    return matches


def _read_jsonl(path: epath.Path) -> Iterator[Example]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except UnicodeError as error:
            raise UserError(f"{place}: not valid UTF-8 text ({error})") from error
        except ValueError as error:
            hint = "; one JSON object a line is wanted" if number == 1 else ""
            raise UserError(f"{place}: not valid JSON ({error}){hint}") from error
        yield _example(record, id=f"{path.name}:{number}", place=place)


def _lines(path: epath.Path) -> Iterator[bytes]:
    with path.open("rb") as raw:
        if path.suffix != ".gz":
            yield from raw
            return
        try:
            with gzip.open(raw) as lines:
                yield from lines
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"{path}: damaged gzip file ({error}); fetch it again") from error


def _read_parquet(path: epath.Path) -> Iterator[Example]:
    import pyarrow.parquet  # slow to import

    with path.open("rb") as file:
        try:
            for row, record in enumerate(_parquet_records(pyarrow.parquet.ParquetFile(file))):
                # A column is null where a record of another shape has no such field.
                record = {key: value for key, value in record.items() if value is not None}
                yield _example(record, id=f"{path.name}:{row}", place=f"{path}, row {row}")
        except (pyarrow.ArrowException, OSError) as error:  # OSError: a page that is damaged
            raise UserError(f"{path}: not a readable Parquet file ({error})") from error


def _parquet_records(file: Any) -> Iterator[dict[str, Any]]:
    # Group by group: a batch over two of them fails where nested columns hold dictionaries.
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(batch_size=4096, row_groups=[group]):
            yield from batch.to_pylist()


def _read_tfds(name: str, split: str, data_dir: epath.Path) -> Iterator[Example]:
    import tensorflow_datasets as tfds

    try:
        rows = tfds.data_source(name, split=split, data_dir=data_dir, download=False)
    except Exception as error:  # TFDS raises a dozen unrelated types here
        reason = str(error).strip().partition("\n")[0]  # and goes on with all it knows by name
        raise UserError(
            f"tfds:{name} (split {split!r}) cannot be read from {data_dir}: {reason} "
            "(it must be prepared there, with file_format='array_record')"
        ) from error
    for row in range(len(rows)):
        record = {field: _to_text(value) for field, value in rows[row].items()}
        yield _example(record, id=f"{name}:{row}", place=f"tfds:{name}, row {row}")


def _to_text(value: Any) -> Any:
    """Undoes what TFDS does to JSON: bytes, arrays, and a list of dicts as a dict of lists."""
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, dict):
        fields = {key: _to_text(field) for key, field in value.items()}
        if not all(isinstance(field, list) for field in fields.values()):
            return fields  # one dict, no list of them
        rows = zip(*fields.values(), strict=False)
        return [dict(zip(fields, row, strict=True)) for row in rows]
    if hasattr(value, "tolist"):
        return _to_text(value.tolist())
    if isinstance(value, list):
        return [_to_text(item) for item in value]
    return value


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value  # an image, say: in its way only where a text is wanted


def _read_corpus(spec: str, split: str, data_dir: epath.Path) -> Iterator[Example]:
    name = spec.removeprefix("jaster/")
    known = corpora.names()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.4))
        raise UserError(
            f"unknown source {spec!r}; write jsonl:PATH, parquet:PATH, tfds:NAME, or the name of a"
            f" corpus that `jaxllm data list` shows{near and f', such as {near}'}"
        )
    for row in corpora.load(name, split, data_dir=data_dir):
        is_text = "messages" not in row and not (row["instruction"] or row["input"])
        record = {"text": row["output"]} if is_text else row
        yield _example(record, id=row["id"], place=f"{name}, row {row['index']}")


def _example(record: Any, *, id: str, place: str) -> Example:
    if not isinstance(record, dict):
        raise UserError(f"{place}: a {type(record).__name__} where a JSON object is wanted")
    try:
        return example_from_record(record, id=id)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
