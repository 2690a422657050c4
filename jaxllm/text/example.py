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


# The two answers of a preference, the better one first.
_PREFERENCES = (("chosen", "rejected"), ("chosen_response", "rejected_response"))
# Where other records have theirs.
_ANSWERS = {"messages", "conversations", "output", "completion", "text"}
# ShareGPT's names of the roles.
_SPEAKERS = {"human": "user", "gpt": "assistant"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One conversation to train on or to ask, under the id its source gives it.

    Attributes:
      rejected: the same conversation with a worse end, where the source compares two.
      num_given: how many messages at the start carry no loss, answers among them included.
    """

    id: str
    messages: tuple[Message, ...]
    rejected: tuple[Message, ...] = ()
    num_given: int = 0


def example_from_record(record: Mapping[str, Any], *, id: str) -> Example:
    """Reads a JSON record of any of the usual shapes.

    In this order: a preference, which is `chosen` and `rejected` (or `chosen_response` and
    `rejected_response`) beside a prompt or with one in both; `messages` or `conversations` (a list
    of `{"role", "content"}` or `{"from", "value"}`), `instruction` with an optional `input` and an
    `output`, `prompt` with `completion`, and `text` (one assistant message, for the template
    "plain"). Other fields are ignored.

    Raises UserError with the reason alone; the caller knows the file and the line.
    """
    for chosen, rejected in _PREFERENCES:
        if chosen in record and rejected in record:
            return _preference(record, chosen, rejected, id)
        if (chosen in record or rejected in record) and not _ANSWERS & record.keys():
            there, missing = (chosen, rejected) if chosen in record else (rejected, chosen)
            raise UserError(f"`{missing}` is missing beside `{there}`")
    for field in ("messages", "conversations"):
        if field in record:
            return Example(id=id, messages=_conversation(record[field], field))
    if "instruction" in record:
        return Example(id=id, messages=(_instruction(record), _answer(record, "output")))
    if "prompt" in record:
        question = Message(role="user", content=_filled(record, "prompt"))
        return Example(id=id, messages=(question, _answer(record, "completion")))
    if "text" in record:
        return Example(id=id, messages=(_answer(record, "text"),))
    raise UserError(
        "the record has none of the fields `messages`, `conversations`, `instruction`, `prompt`, "
        f"`text`; it has {sorted(map(str, record)) or 'no field at all'}"
    )


def _preference(record: Mapping[str, Any], chosen: str, rejected: str, id: str) -> Example:
    better, worse = _answered(record, chosen), _answered(record, rejected)
    num_shared = 0
    for one, other in zip(better, worse, strict=False):
        if one != other:
            break
        num_shared += 1
    # The prompt ends with a user turn: where the two part later, the answer before is theirs.
    num_given = num_shared
    while num_given and better[num_given - 1].role != "user":
        num_given -= 1
    if not num_given:
        raise UserError(f"`{chosen}` and `{rejected}` do not answer the same prompt")
    return Example(id=id, messages=better, rejected=worse, num_given=num_given)


def _answered(record: Mapping[str, Any], field: str) -> tuple[Message, ...]:
    """The whole conversation that an answer is, or that it makes of the record's prompt."""
    if isinstance(record[field], str):
        return (*_prompt(record, field), _answer(record, field))
    messages = _turns(record[field], field)
    if messages[0].role != "assistant":
        _check_order(messages, field)
        return messages
    _check_order(messages, field, first=("assistant",))
    return (*_prompt(record, field), *messages)


def _prompt(record: Mapping[str, Any], answer: str) -> tuple[Message, ...]:
    for field in ("prompt", "messages", "conversations"):
        if field in record and not isinstance(record[field], str):
            messages = _turns(record[field], field)
            _check_order(messages, field, last="user")
            return messages
    if "prompt" in record:
        return (Message(role="user", content=_filled(record, "prompt")),)
    if "instruction" in record:
        return (_instruction(record),)
    raise UserError(
        f"nothing says what `{answer}` answers: the record has no `prompt`, `messages`, "
        "`conversations` or `instruction`"
    )


def _conversation(turns: Any, field: str) -> tuple[Message, ...]:
    messages = _turns(turns, field)
    _check_order(messages, field)
    return messages


def _turns(turns: Any, field: str) -> tuple[Message, ...]:
    if not isinstance(turns, Sequence) or isinstance(turns, str | bytes) or not turns:
        raise UserError(f"`{field}` must be a non-empty list of {{role, content}}")
    messages = []
    for index, turn in enumerate(turns):
        where = f"{field}[{index}]"
        if not isinstance(turn, Mapping):
            raise UserError(f"`{where}` must be an object with `role` and `content`")
        named, said = ("from", "value") if "from" in turn else ("role", "content")
        role: Any = turn.get(named)
        if isinstance(role, str):
            role = _SPEAKERS.get(role, role)
        if role not in get_args(Role):
            raise UserError(f"`{where}.{named}` is {role!r}; it must be system, user or assistant")
        messages.append(Message(role=role, content=_filled(turn, said, where=where + ".")))
    return tuple(messages)


def _check_order(
    messages: tuple[Message, ...],
    field: str,
    *,
    first: tuple[Role, ...] = ("system", "user"),
    last: Role = "assistant",
) -> None:
    expected = first
    for index, message in enumerate(messages):
        if message.role not in expected:
            raise UserError(
                f"`{field}[{index}]` has the role {message.role}, where {' or '.join(expected)} "
                "must stand: an optional system message, then user and assistant in turn"
            )
        expected = ("assistant",) if message.role == "user" else ("user",)
    if messages[-1].role != last:
        wanted = "an answer" if last == "assistant" else "a user's turn that is to be answered"
        raise UserError(f"`{field}` ends with a {messages[-1].role} message, not with {wanted}")


def _instruction(record: Mapping[str, Any]) -> Message:
    context = "" if record.get("input") is None else _string(record, "input")
    return Message(role="user", content=_filled(record, "instruction"), context=context)


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
