"""The prompts of llm-jp: llm-jp-eval 1.0, 1.3 and 2, and the llm-jp-3 conversations.

Scores depend on every character of the strings in this file.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.spans import SpanWriter

_V1_0 = (
    "以下はタスクを説明する指示と、追加の背景情報を提供する入力の組み合わせです。"
    "要求を適切に満たす回答を書いてください。"
)
_WITH_INPUT = (
    "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。"
    "要求を適切に満たす応答を書きなさい。"
)
_INSTRUCTION_ONLY = "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"


def write_v1_0(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The prompt of llm-jp-eval 1.0: full-width colons, no colon behind 指示.

    Without shots there is one newline more before the input, because 1.0 joins an empty list of
    shots between two newlines.
    """
    _refuse_system(messages, "llm_jp_v1.0")
    asked = sum(message.role == "user" for message in messages)
    pending = _V1_0
    for message in messages:
        if message.role == "user":
            if instruction := _instruction(message):
                pending += f"\n### 指示\n{instruction}"
            if message.context:
                pending += "\n" * (asked == 1) + f"\n\n### 入力：\n{message.context}"
            pending += "\n### 回答：\n"
        else:
            pending = _write_answer(writer, pending, message)
    _write_end(writer, pending)


def write_v1_3(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The prompt of llm-jp-eval 1.3 and 1.4, and of the llm-jp v1 and v2 instruct models.

    The opening sentence is the one for an instruction with an input where the first user turn has
    a `context`, else the one for an instruction alone. Shots are user turns without `content`
    under the one 指示. Only the last answer ends with eos, as no eos stands behind a shot.
    """
    _refuse_system(messages, "llm_jp_v1.3")
    first = next((message for message in messages if message.role == "user"), None)
    pending = _WITH_INPUT if first is not None and first.context else _INSTRUCTION_ONLY
    for message in messages:
        if message.role == "user":
            pending += _question(message) + "\n\n### 応答:\n"
        else:
            pending = _write_answer(writer, pending, message)
    _write_end(writer, pending)


def write_llm_jp_3(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The conversations of the llm-jp-3 and 3.1 instruct models; every answer ends with eos.

    A trap: a system message's own content is thrown away, and the one fixed sentence stands in
    its place, as the models' chat template does it. Where there is no system message that
    template writes nothing, although the models were always trained with the sentence; here it
    stands in every prompt.
    """
    _write_llm_jp_3(writer, _INSTRUCTION_ONLY, messages)


def write_llm_jp_3_system(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The same, with a system message's own content where there is one.

    So were instruct2 and instruct3 tuned: of their corpora Daring-Anteater alone has system
    messages that differ from the fixed sentence (github.com/llm-jp/instruct3).
    """
    system = messages[0].content if messages[0].role == "system" else _INSTRUCTION_ONLY
    _write_llm_jp_3(writer, system, messages)


def _write_llm_jp_3(writer: SpanWriter, system: str, messages: Sequence[Message]) -> None:
    writer.text(system)
    for message in messages:
        if message.role == "user":
            writer.text(_question(message) + "\n\n### 応答:\n")
        elif message.role == "assistant":
            writer.text(message.content, trained=True)
            writer.token(writer.tokenizer.eos_id, trained=True)


@dataclasses.dataclass(frozen=True)
class _Headings:
    instruction: str
    answer_format: str
    input: str
    response: str


_JAPANESE = _Headings("### 指示", "### 回答形式", "### 入力:", "### 応答:")
_ENGLISH = _Headings("### Instruction", "### Answer Format", "### Input:", "### Response:")


def write_v2_ja(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The prompt of llm-jp-eval 2 for Japanese data sets, as its Jinja template renders.

    It begins with a newline and ends behind the last heading. Earlier turns are its examples:
    a part of the question, so that only the last answer is trained.
    """
    _write_v2(writer, messages, _JAPANESE)


def write_v2_en(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The same for English data sets."""
    _write_v2(writer, messages, _ENGLISH)


def _write_v2(writer: SpanWriter, messages: Sequence[Message], headings: _Headings) -> None:
    for message, role in zip(messages, itertools.cycle(("user", "assistant")), strict=False):
        if message.role != role:
            raise UserError(
                f"the templates llm_jp_v2 take a user turn and its answer by turns, not a"
                f" {message.role} message where the {role} should speak; use another template"
            )
    questions, answers = messages[::2], messages[1::2]
    first = questions[0]
    instruction = first.content if first.context else ""
    text = f"\n{headings.instruction}\n{instruction}\n" if instruction else ""
    if first.answer_format:
        text += f"\n{headings.answer_format}\n{first.answer_format}\n"
    asked = [
        f"{headings.input}\n{_without(instruction, question)}\n{headings.response}"
        for question in questions
    ]
    shots = [
        f"\n<example_{number}>\n{question}\n{answer.content}\n</example_{number}>"
        for number, (question, answer) in enumerate(zip(asked[:-1], answers, strict=False), 1)
    ]
    if shots:
        text += "\n<examples>" + "".join(shots) + "\n</examples>\n"
    writer.text(text + asked[-1])
    if len(answers) == len(questions):
        writer.text(answers[-1].content, trained=True)
        writer.token(writer.tokenizer.eos_id, trained=True)


def _without(instruction: str, question: Message) -> str:
    content = "" if question.content == instruction else question.content
    return "\n\n".join(filter(None, (content, question.context)))


def _question(message: Message) -> str:
    instruction = _instruction(message)
    question = f"\n\n### 指示:\n{instruction}" if instruction else ""
    return question + (f"\n\n### 入力:\n{message.context}" if message.context else "")


def _instruction(message: Message) -> str:
    return "\n\n".join(filter(None, (message.content, message.answer_format)))


def _write_answer(writer: SpanWriter, pending: str, message: Message) -> str:
    writer.text(pending)
    writer.text(message.content, trained=True)
    return ""


def _write_end(writer: SpanWriter, pending: str) -> None:
    if pending:
        writer.text(pending)
    else:
        writer.token(writer.tokenizer.eos_id, trained=True)


def _refuse_system(messages: Sequence[Message], name: str) -> None:
    if any(message.role == "system" for message in messages):
        raise UserError(
            f"template {name} opens with its own fixed sentence and has no place for a system "
            'message; leave it out, or use the template "chatml" or "chat"'
        )
    if not any(message.role == "user" for message in messages):
        raise UserError(f'template {name} needs a user turn; the template "plain" does without')
