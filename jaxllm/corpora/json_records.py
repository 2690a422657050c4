"""Raw files that are JSON records: one object a line (.jsonl), or one list of objects (.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxllm.corpora import raw
from jaxllm.errors import UserError

Record = Mapping[str, Any]


def read_records(path: epath.Path) -> list[Record]:
    """The records of the file in their order; UserError where it holds anything else."""
    document = path.read_bytes()
    with raw.reading(path):
        if path.suffix == ".jsonl":
            # Only newlines end a record: texts hold U+2028, at which splitlines() would cut.
            records = [json.loads(line) for line in document.split(b"\n") if line.strip()]
        else:
            records = json.loads(document)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UserError(f"{path} holds no list of JSON objects: it is another file")
    return records


def text_of(record: Record, field: str, path: epath.Path) -> str:
    """The text of a field; UserError naming the file where it is none."""
    text = record.get(field)
    if not isinstance(text, str):
        raise UserError(
            f"{path}: a record has no text {field!r}, only {', '.join(map(repr, record))}:"
            " it is another version"
        )
    return text
