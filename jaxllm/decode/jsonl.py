"""Requests and answers as files: one JSON object a line.

A request: `id`, one of `prompt`, `prompt_ids` and `messages`, `max_new_tokens`, any other field of
`Request`, and `n`, how many answers are wanted. An answer: the fields of `Completion`; those that
have one id carry their number, `sample`.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.decode.requests import Completion, Request, resampled
from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import Tokenizer

_PROMPT_FIELDS = ("prompt", "prompt_ids", "messages")


def _is_whole(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    return type(value) is int and least <= value <= most


def _is_number(value: Any, least: float, most: float = math.inf) -> bool:
    return type(value) in (int, float) and least <= value <= most


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict) and _is_text(value.get("role")) and _is_text(value.get("content"))
    )


def _is_list(value: Any, is_entry: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(is_entry, value))


# What each field of a line may be, as a test and in words.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "id": (lambda value: _is_text(value) or _is_whole(value), "a string or a whole number"),
    "prompt": (_is_text, "a string"),
    "prompt_ids": (lambda value: _is_list(value, _is_whole), "a list of whole numbers"),
    "messages": (lambda value: _is_list(value, _is_message), "a list of {role, content}, strings"),
    "max_new_tokens": (lambda value: _is_whole(value, 1), "a whole number, at least 1"),
    "n": (lambda value: _is_whole(value, 1), "a whole number, at least 1"),
    "stop": (lambda value: _is_list(value, _is_text), "a list of strings"),
    "stop_ids": (lambda value: _is_list(value, _is_whole), "a list of whole numbers"),
    "ignore_eos": (lambda value: isinstance(value, bool), "true or false"),
    "temperature": (lambda value: _is_number(value, 0), "a number, at least 0"),
    "top_p": (lambda value: value != 0 and _is_number(value, 0, 1), "a number above 0, at most 1"),
    "top_k": (_is_whole, "a whole number, 0 for all tokens"),
    "min_p": (lambda value: _is_number(value, 0, 1), "a number from 0 to 1"),
    "repetition_penalty": (lambda value: value != 0 and _is_number(value, 0), "a number above 0"),
    "seed": (lambda value: _is_whole(value, 0, 2**32 - 1), "a whole number from 0 to 2**32 - 1"),
}
_OPTIONAL = _FIELDS.keys() - {"id", *_PROMPT_FIELDS, "max_new_tokens", "n"}


def read_requests(
    path: str | os.PathLike[str], tokenizer: Tokenizer, *, template: str = "chat"
) -> list[Request]:
    """The requests of a file, for each line as many as it wants answers, side by side.

    `messages` are rendered with `template`.

    Raises:
        UserError: a line that is no request, naming file, line and field.
    """
    path = epath.Path(path)
    if not path.exists() or path.is_dir():
        raise UserError(f"there is no request file {path}")
    requests: list[Request] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            requests += _requests(json.loads(line), tokenizer, template)
        except (KeyError, ValueError, TypeError, UserError) as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    if not requests:
        raise UserError(f"{path} holds no request")
    return requests


def write_requests(path: str | os.PathLike[str], requests: Sequence[Request]) -> None:
    """A file that `read_requests` reads as the same requests; it appears whole or not at all."""
    fields = dataclasses.fields(Request)
    write_lines(
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
    """A file of answers in their order; it appears whole or not at all."""
    write_lines(path, _numbered(completions))


def write_lines(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    """A file of JSON objects, one a line; it appears whole or not at all.

    Half a surrogate pair, which UTF-8 cannot hold, is written as JSON's escape for it.
    """
    path = epath.Path(path)
    text = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f"{path.name}.partial"
    partial.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    partial.replace(path)


def _numbered(completions: Sequence[Completion]) -> Iterator[dict[str, Any]]:
    num_answers = collections.Counter(completion.id for completion in completions)
    num_before: collections.Counter[str] = collections.Counter()
    for completion in completions:
        name, fields = completion.id, dataclasses.asdict(completion)
        if num_answers[name] > 1:
            fields = {"id": name, "sample": num_before[name], **fields}
            num_before[name] += 1
        yield fields


def _requests(record: Any, tokenizer: Tokenizer, template: str) -> list[Request]:
    if not isinstance(record, dict):
        raise UserError("a request is a JSON object")
    unknown = record.keys() - _FIELDS.keys()
    if unknown:
        raise UserError(f"unknown field {min(unknown)!r}")
    if sum(field in record for field in _PROMPT_FIELDS) != 1:
        raise UserError(f"give exactly one of {', '.join(_PROMPT_FIELDS)}")
    if "id" not in record or "max_new_tokens" not in record:
        raise UserError("a request needs an id and max_new_tokens")
    for field, (is_right, words) in _FIELDS.items():
        if field in record and not is_right(record[field]):
            raise UserError(f"{field} must be {words}")
    options: dict[str, Any] = {
        field: tuple(record[field]) if isinstance(record[field], list) else record[field]
        for field in record.keys() & _OPTIONAL
    }
    if "prompt_ids" in record:
        prompt_ids = record["prompt_ids"]
    else:
        is_chat = "messages" in record
        turns = record["messages"] if is_chat else [{"role": "user", "content": record["prompt"]}]
        messages = [Message(role=turn["role"], content=turn["content"]) for turn in turns]
        chosen = get_template(template if is_chat else "plain", tokenizer)
        prompt_ids = chosen.prompt_ids(tokenizer, messages, bos="auto").tolist()
        options["stop_ids"] = (*chosen.stop_ids(tokenizer), *options.get("stop_ids", ()))
    request = Request(
        id=str(record["id"]),
        prompt_ids=tuple(prompt_ids),
        max_new_tokens=record["max_new_tokens"],
        **options,
    )
    return [resampled(request, number) for number in range(record.get("n", 1))]
