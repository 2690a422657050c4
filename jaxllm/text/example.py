"""What a text is made of before any tokenizer sees it: messages, and the records they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from jaxllm.errors import UserError

Role = Literal["system", "user", "assistant"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """One turn; `context` is the Alpaca / llm-jp "入力" that stands beside a user's instruction.

    `answer_format` tells a model in which form to answer, llm-jp-eval 2's "回答形式".
    """

    role: Role
    content: str
    context: str = ""
    answer_format: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One conversation to train on or to ask, under the id its source gives it."""

    id: str
    messages: tuple[Message, ...]


def example_from_record(record: Mapping[str, Any], *, id: str) -> Example:
    """Reads a JSON record of any of the four usual shapes.

    In this order: `messages` or `conversations` (a list of `{"role", "content"}`), `instruction`
    with an optional `input` and an `output`, `prompt` with `completion`, and `text` (one assistant
    message, for the template "plain"). Other fields are ignored.

    Raises UserError with the reason alone; the caller knows the file and the line.
    """
    for field in ("messages", "conversations"):
        if field in record:
            return Example(id=id, messages=_conversation(record[field], field))
    if "instruction" in record:
        context = "" if record.get("input") is None else _string(record, "input")
        question = Message(role="user", content=_filled(record, "instruction"), context=context)
        return Example(id=id, messages=(question, _answer(record, "output")))
    if "prompt" in record:
        question = Message(role="user", content=_filled(record, "prompt"))
        return Example(id=id, messages=(question, _answer(record, "completion")))
    if "text" in record:
        return Example(id=id, messages=(_answer(record, "text"),))
    raise UserError(
        "the record has none of the fields `messages`, `conversations`, `instruction`, `prompt`, "
        f"`text`; it has {sorted(map(str, record)) or 'no field at all'}"
    )


def _conversation(turns: Any, field: str) -> tuple[Message, ...]:
    if not isinstance(turns, Sequence) or isinstance(turns, str | bytes) or not turns:
        raise UserError(f"`{field}` must be a non-empty list of {{role, content}}")
    messages = []
    for index, turn in enumerate(turns):
        where = f"{field}[{index}]"
        if not isinstance(turn, Mapping):
            raise UserError(f"`{where}` must be an object with `role` and `content`")
        role: Any = turn.get("role")
        if role not in get_args(Role):
            raise UserError(f"`{where}.role` is {role!r}; it must be system, user or assistant")
        messages.append(Message(role=role, content=_filled(turn, "content", where=where + ".")))
    expected: tuple[str, ...] = ("system", "user")
    for index, message in enumerate(messages):
        if message.role not in expected:
            raise UserError(
                f"`{field}[{index}]` has the role {message.role}, where {' or '.join(expected)} "
                "must stand: an optional system message, then user and assistant in turn"
            )
        expected = ("assistant",) if message.role == "user" else ("user",)
    if messages[-1].role != "assistant":
        raise UserError(f"`{field}` ends with a {messages[-1].role} message, not with an answer")
    return tuple(messages)


def _answer(record: Mapping[str, Any], field: str) -> Message:
    return Message(role="assistant", content=_filled(record, field))


def _filled(record: Mapping[str, Any], field: str, *, where: str = "") -> str:
    text = _string(record, field, where=where)
    if not text.strip():
        raise UserError(f"`{where}{field}` is empty")
    return text


def _string(record: Mapping[str, Any], field: str, *, where: str = "") -> str:
    if field not in record:
        raise UserError(f"`{where}{field}` is missing")
    text = record[field]
    if not isinstance(text, str):
        raise UserError(f"`{where}{field}` must be a string, not {type(text).__name__}")
    # JSON can spell half a surrogate pair; no tokenizer can encode it.
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise UserError(f"`{where}{field}` holds half of a surrogate pair, which is no character")
    return text
