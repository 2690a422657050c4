"""Records as their sources hold them: cheap to read one after another, parsed where they are used.

Reading and parsing are two steps so that parsing, the slower one, can go to other processes.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from etils import epath

from jaxllm.errors import UserError
from jaxllm.text.example import Example, example_from_record

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Record(NamedTuple):
    """One record: where it stands in words, its id, and a line of JSON or the fields themselves."""

    place: str
    id: str
    content: bytes | Mapping[str, Any]


def parse(record: Record) -> Example:
    """Returns what a record says.

    Raises UserError with the place and the reason for one that is no example.
    """
    try:
        return example_from_record(fields_of(record), id=record.id)
    except UserError as error:
        raise UserError(f"{record.place}: {error}") from None


def fields_of(record: Record) -> dict[str, Any]:
    """The fields of a record; raises UserError with the reason alone for what is no object."""
    content = record.content
    fields = _from_json(content) if isinstance(content, bytes) else content
    if not isinstance(fields, dict):
        raise UserError(f"a {type(fields).__name__} where a JSON object is wanted")
    return fields


def _from_json(line: bytes) -> Any:
    try:
        text = line.rstrip(b"\r\n").decode()
        return json.loads(text.removeprefix("\ufeff"))  # cat leaves such marks mid-file
    except UnicodeError as error:
        is_utf16 = line.startswith(_UTF16_MARKS)
        hint = "; the file is UTF-16, save it as UTF-8" if is_utf16 else ""
        raise UserError(f"not valid UTF-8 text ({error}){hint}") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
        raise UserError(f"not valid JSON ({reason}); one JSON object a line is wanted") from None
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond Python's limits
        raise UserError(f"JSON that cannot be read ({error})") from None


def jsonl_records(path: epath.Path) -> Iterator[Record]:
    """Yields the lines of a file, or of a gzipped one, that are not blank."""
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield Record(f"{path}, line {number}", f"{path.name}:{number}", line)


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


def parquet_records(path: epath.Path) -> Iterator[Record]:
    """Yields the rows of a Parquet file; fields that are null are left out."""
    with _parquet_file(path) as file:
        for number, row in enumerate(_parquet_rows(file)):
            # A column is null where a record of another shape has no such field.
            fields = {key: value for key, value in row.items() if value is not None}
            yield Record(f"{path}, row {number}", f"{path.name}:{number}", fields)


def parquet_length(path: epath.Path) -> int:
    """Returns how many rows a Parquet file has."""
    with _parquet_file(path) as file:
        return file.metadata.num_rows


@contextlib.contextmanager
def _parquet_file(path: epath.Path) -> Iterator[Any]:
    import pyarrow.parquet  # slow to import

    with path.open("rb") as file:
        try:
            yield pyarrow.parquet.ParquetFile(file)
        except (pyarrow.ArrowException, OSError) as error:  # OSError: a page that is damaged
            raise UserError(f"{path}: not a readable Parquet file ({error})") from error


def _parquet_rows(file: Any) -> Iterator[dict[str, Any]]:
    # Group by group: a batch over two of them fails where nested columns hold dictionaries.
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(batch_size=4096, row_groups=[group]):
            yield from batch.to_pylist()


def tfds_records(name: str, rows: Any) -> Iterator[Record]:
    """Yields the rows of a TFDS data source."""
    for number in range(len(rows)):
        fields = {field: _to_text(value) for field, value in rows[number].items()}
        yield Record(f"tfds:{name}, row {number}", f"{name}:{number}", fields)


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


def corpus_records(name: str, rows: list[dict[str, Any]]) -> Iterator[Record]:
    """Yields the rows of a corpus of `jaxllm.corpora`; a row of an output alone is a text."""
    for row in rows:
        is_text = "output" in row and not (row["instruction"] or row["input"])
        fields = {"text": row["output"]} if is_text else row
        yield Record(f"{name}, row {row['index']}", row["id"], fields)
