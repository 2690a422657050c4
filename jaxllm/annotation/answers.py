"""Questions and models' answers from JSONL files, each line in one of two forms.

A question is a request of `jaxllm generate` (`{"id", "prompt"}` or `{"id", "messages"}`) or one of
FastChat's (`{"question_id", "turns": [text, ...]}`). An answer is a line that `jaxllm generate`
wrote (`{"id", "text"}`) or one of FastChat's model answers (`{"question_id", "model_id",
"choices": [{"turns": [text, ...]}]}`). Other fields are not looked at.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.fastchat import read_model_answer, read_texts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked: the messages of each turn that stand before its answer."""

    id: str
    turns: tuple[tuple[Message, ...], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """One model's answers: by id of the question, the texts of its turns.

    `num_left_out` counts further samples of an answer: people are shown the first.
    """

    model: str
    turns: Mapping[str, tuple[str, ...]]
    num_left_out: int = 0


def read_questions(path: str | os.PathLike[str]) -> tuple[Question, ...]:
    """The questions of a file in its order; raises UserError naming file, line and reason."""
    questions: dict[str, Question] = {}
    for where, record in _records(path):
        question = Question(id=_id(where, record), turns=_question_turns(where, record))
        if question.id in questions:
            raise UserError(f"{where}: question {question.id} stands here twice")
        questions[question.id] = question
    return tuple(questions.values())


def read_answers(path: str | os.PathLike[str], *, model: str = "") -> Answers:
    """One model's answers; its name is `model`, else the file's `model_id`, else the file's name.

    Raises UserError naming file, line and reason.
    """
    turns: dict[str, tuple[str, ...]] = {}
    names: set[str] = set()
    num_left_out = 0
    for where, record in _records(path):
        key = _id(where, record)
        if key in turns:
            raise UserError(f"{where}: question {key} is answered twice")
        if "choices" in record:
            try:
                read = read_model_answer(record)
            except ValueError as error:
                raise UserError(f"{where}: {error}") from error
            turns[key] = tuple(map(without_half_characters, read.choices[0].turns))
            num_left_out += len(read.choices) - 1
            names.add(read.model)
        elif "text" in record:
            turns[key] = _texts(where, "text", [record["text"]])
        else:
            raise UserError(
                f"{where}: no answer; wants `text` (jaxllm generate) or `choices` (FastChat)"
            )
    if not model and len(names) > 1:
        raise UserError(
            f"{path} holds answers of {', '.join(sorted(names))}: one file for each model, please"
        )
    name = model or "".join(names) or Path(path).stem
    return Answers(model=name, turns=turns, num_left_out=num_left_out)


def without_half_characters(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which no database or browser takes."""
    return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")


def _records(path: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's JSON object, with `file, line N` for messages."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error}") from error
    empty = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise UserError(f"{where}: not a JSON object")
        empty = False
        yield where, record
    if empty:
        raise UserError(f"{path} is empty")


def _id(where: str, record: Mapping[str, Any]) -> str:
    key = record.get("question_id", record.get("id"))
    if not isinstance(key, str | int) or key == "":
        raise UserError(f"{where}: wants an `id` (or FastChat's `question_id`)")
    return without_half_characters(str(key))


def _question_turns(where: str, record: Mapping[str, Any]) -> tuple[tuple[Message, ...], ...]:
    if "turns" in record:
        texts = _texts(where, "turns", record["turns"])
        return tuple((Message(role="user", content=text),) for text in texts)
    if "prompt" in record:
        (text,) = _texts(where, "prompt", [record["prompt"]])
        return ((Message(role="user", content=text),),)
    if "messages" in record:
        return (_messages(where, record["messages"]),)
    raise UserError(
        f"{where}: no question; wants `prompt` or `messages` (jaxllm generate), or `turns`"
        " (FastChat)"
    )


def _messages(where: str, messages: Any) -> tuple[Message, ...]:
    if not isinstance(messages, list) or not messages:
        raise UserError(f"{where}: `messages` holds no message")
    read = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "user", "assistant"):
            raise UserError(f"{where}: a message needs `role` (system, user, assistant), `content`")
        (text,) = _texts(where, "content", [message.get("content")])
        read.append(Message(role=role, content=text))
    return tuple(read)


def _texts(where: str, field: str, texts: Any) -> tuple[str, ...]:
    try:
        return tuple(map(without_half_characters, read_texts(field, texts)))
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
