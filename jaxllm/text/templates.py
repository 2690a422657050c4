"""Prompt templates by name: from messages to ids and loss weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxllm.errors import UserError
from jaxllm.text import chat_template, llm_jp_templates
from jaxllm.text.chat_template import text_with_context
from jaxllm.text.example import Message
from jaxllm.text.spans import BosPolicy, Rendered, SpanWriter
from jaxllm.text.special_tokens import unused_mark
from jaxllm.text.tokenizer import Tokenizer

__all__ = ["PINNED_DATE", "Rendered", "Template", "get_template"]

# The day that templates which print the date are given, so that a prompt never changes overnight.
PINNED_DATE = "2026-01-01"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """A way to write messages down, the same for training and for asking.

    `write` puts the messages into a SpanWriter. What it writes for messages that end with a user
    turn is what it writes first when an answer follows, so that
    `render([*messages, answer]).ids` begins with `prompt_ids(messages)`, token for token.
    `ends_answers` says whether it writes a token that ends an answer.
    """

    name: str
    write: Callable[[SpanWriter, Sequence[Message]], None]
    ends_answers: bool = True

    def render(
        self, tokenizer: Tokenizer, messages: Sequence[Message], *, bos: BosPolicy = "auto"
    ) -> Rendered:
        """Returns a text to train on, with weight 1 on the answers and on what ends them.

        Raises UserError where the messages do not end with an answer, or the template has no
        place for one of them.
        """
        self._check(messages, last="assistant")
        rendered = self._written(tokenizer, messages).finish(bos)
        trained = np.flatnonzero(rendered.loss_weights)
        if not trained.size:
            raise UserError(f"the template {self.name} left nothing to train on")
        # What a template prints behind the last trained token predicts nothing.
        stop = int(trained[-1]) + 1
        return Rendered(ids=rendered.ids[:stop], loss_weights=rendered.loss_weights[:stop])

    def prompt_ids(
        self, tokenizer: Tokenizer, messages: Sequence[Message], *, bos: BosPolicy = "auto"
    ) -> np.ndarray:
        """Returns int32 ids [T] behind which the model's answer begins.

        Raises UserError where the messages do not end with a user turn.
        """
        self._check(messages, last="user")
        return self._written(tokenizer, messages).finish(bos).ids

    def stop_ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Returns the ids that end an answer: the trained one, eos, and `extra_stop_ids`."""
        ends = [tokenizer.eos_id, *tokenizer.extra_stop_ids]
        if self.ends_answers:
            probe = [Message(role="user", content="a"), Message(role="assistant", content="b")]
            ends = [int(self.render(tokenizer, probe, bos="never").ids[-1]), *ends]
        return tuple(dict.fromkeys(ends))

    def _check(self, messages: Sequence[Message], *, last: str) -> None:
        if not messages:
            raise UserError(f"template {self.name}: there are no messages")
        if messages[-1].role != last:
            raise UserError(
                f"template {self.name}: the last message is from the {messages[-1].role}, "
                f"not from the {last}"
            )

    def _written(self, tokenizer: Tokenizer, messages: Sequence[Message]) -> SpanWriter:
        writer = SpanWriter(tokenizer)
        self.write(writer, messages)
        return writer


def get_template(
    name: str,
    tokenizer: Tokenizer | None = None,
    *,
    date: str = PINNED_DATE,
    variables: Mapping[str, Any] | None = None,
) -> Template:
    """Returns the template of a name.

    "plain" writes the texts as they are, with eos at the end, and "verbatim" too, but with special
    tokens by name (`<s>`) and nothing at the end. "llm_jp_v1.0", "llm_jp_v1.3", "llm_jp_v2_ja" and
    "llm_jp_v2_en" are the prompts of llm-jp-eval, "llm_jp_3" the conversations of the llm-jp-3
    instruct models, "llm_jp_3_system" those with system messages of their own, "chatml" the
    `<|im_start|>` format, and "chat" the Jinja template of the tokenizer given here.

    `date` (YYYY-MM-DD) and `variables` (such as `enable_thinking`) reach the Jinja template alone.
    """
    if name == "chat":
        if tokenizer is None or tokenizer.chat_template is None:
            whose = f"the tokenizer {tokenizer.name}" if tokenizer else "no tokenizer, which"
            raise UserError(
                f'template "chat": {whose} has no chat template; choose from {", ".join(_WRITERS)}'
            )
        write = functools.partial(
            chat_template.write_chat,
            source=tokenizer.chat_template,
            date=date,
            variables=dict(variables or {}),
        )
        return Template(name=name, write=write)
    if name not in _WRITERS:
        names = ", ".join([*_WRITERS, "chat"])
        raise UserError(f"template {name!r} is unknown; choose from {names}")
    return Template(name=name, write=_WRITERS[name], ends_answers=name != "verbatim")


def _write_plain(writer: SpanWriter, messages: Sequence[Message]) -> None:
    for message in messages:
        writer.text(text_with_context(message), trained=message.role == "assistant")
    if messages[-1].role == "assistant":
        writer.token(writer.tokenizer.eos_id, trained=True)


def _write_verbatim(writer: SpanWriter, messages: Sequence[Message]) -> None:
    mark = unused_mark(text_with_context(message) for message in messages)
    for message in messages:
        trained = message.role == "assistant"
        writer.marked_text(text_with_context(message), mark=mark, trained=trained)


_WRITERS: dict[str, Callable[[SpanWriter, Sequence[Message]], None]] = {
    "plain": _write_plain,
    "verbatim": _write_verbatim,
    "llm_jp_v1.0": llm_jp_templates.write_v1_0,
    "llm_jp_v1.3": llm_jp_templates.write_v1_3,
    "llm_jp_v2_ja": llm_jp_templates.write_v2_ja,
    "llm_jp_v2_en": llm_jp_templates.write_v2_en,
    "llm_jp_3": llm_jp_templates.write_llm_jp_3,
    "llm_jp_3_system": llm_jp_templates.write_llm_jp_3_system,
    "chatml": chat_template.write_chatml,
}
