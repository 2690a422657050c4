"""Requests and answers as files: one JSON object a line.

A request: `id`, one of `prompt`, `prompt_ids` and `messages`, `max_new_tokens`, and any other field
of `Request`. An answer: the fields of `Completion`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.decode.requests import Completion, Request
from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import Tokenizer

_PROMPT_FIELDS = ("prompt", "prompt_ids", "messages")
_OPTIONAL = {
    "stop": (list, tuple),
    "stop_ids": (list, tuple),
    "ignore_eos": (bool,),
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "min_p": (int, float),
    "repetition_penalty": (int, float),
    "seed": (int,),
}


def read_requests(
    path: str | os.PathLike[str], tokenizer: Tokenizer, *, template: str = "chat"
) -> list[Request]:
    """The requests of a file; `messages` are rendered with `template`.

    Raises:
        UserError: a line that is no request, naming file, line and field.
    """
    path = epath.Path(path)
    if not path.exists():
        raise UserError(f"there is no request file {path}")
    requests = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            requests.append(_request(json.loads(line), tokenizer, template))
        except (KeyError, ValueError, TypeError, UserError) as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    if not requests:
        raise UserError(f"{path} holds no request")
    return requests


def write_requests(path: str | os.PathLike[str], requests: Sequence[Request]) -> None:
    """A file that `read_requests` reads as the same requests; it appears whole or not at all."""
    fields = dataclasses.fields(Request)
    _write_lines(
        path,
        (
            {
                field.name: value
                for field in fields
                if (value := getattr(request, field.name)) != field.default
            }
            for request in requests
        ),
    )


def write_completions(path: str | os.PathLike[str], completions: Sequence[Completion]) -> None:
    """A file of answers; it appears whole or not at all."""
    _write_lines(path, map(dataclasses.asdict, completions))


def _write_lines(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    path = epath.Path(path)
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f"{path.name}.partial"
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def _request(record: Any, tokenizer: Tokenizer, template: str) -> Request:
    if not isinstance(record, dict):
        raise UserError("a request is a JSON object")
    unknown = set(record) - {"id", "max_new_tokens", *_PROMPT_FIELDS, *_OPTIONAL}
    if unknown:
        raise UserError(f"unknown field {sorted(unknown)[0]!r}")
    if sum(field in record for field in _PROMPT_FIELDS) != 1:
        raise UserError(f"give exactly one of {', '.join(_PROMPT_FIELDS)}")
    if "id" not in record or not isinstance(record.get("max_new_tokens"), int):
        raise UserError("a request needs an id and max_new_tokens, a whole number")
    for field, kinds in _OPTIONAL.items():
        if field in record and not isinstance(record[field], kinds):
            raise UserError(f"{field} must be {' or '.join(kind.__name__ for kind in kinds)}")
    options: dict[str, Any] = {field: record[field] for field in _OPTIONAL if field in record}
    for field in ("stop", "stop_ids"):
        if field in options:
            options[field] = tuple(options[field])
    if "prompt_ids" in record:
        prompt_ids = [int(token) for token in record["prompt_ids"]]
    else:
        is_chat = "messages" in record
        turns = record["messages"] if is_chat else [{"role": "user", "content": record["prompt"]}]
        messages = [Message(role=turn["role"], content=turn["content"]) for turn in turns]
        chosen = get_template(template if is_chat else "plain", tokenizer)
        prompt_ids = chosen.prompt_ids(tokenizer, messages, bos="auto").tolist()
        options["stop_ids"] = (*chosen.stop_ids(tokenizer), *options.get("stop_ids", ()))
    return Request(
        id=str(record["id"]),
        prompt_ids=tuple(prompt_ids),
        max_new_tokens=record["max_new_tokens"],
        **options,
    )
