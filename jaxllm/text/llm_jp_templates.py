"""The prompts of llm-jp: llm-jp-eval 1.0 and 1.3, and the llm-jp-3 conversations.

Scores depend on every character of the strings in this file.
"""

from __future__ import annotations

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
            if message.content:
                pending += f"\n### 指示\n{message.content}"
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
    writer.text(_INSTRUCTION_ONLY)
    for message in messages:
        if message.role == "user":
            writer.text(_question(message) + "\n\n### 応答:\n")
        elif message.role == "assistant":
            writer.text(message.content, trained=True)
            writer.token(writer.tokenizer.eos_id, trained=True)


def _question(message: Message) -> str:
    instruction = f"\n\n### 指示:\n{message.content}" if message.content else ""
    return instruction + (f"\n\n### 入力:\n{message.context}" if message.context else "")


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
