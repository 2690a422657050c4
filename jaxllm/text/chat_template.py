"""Conversations with special tokens around the turns: Jinja chat templates, and ChatML."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.spans import SpanWriter
from jaxllm.text.special_tokens import SpecialTokens, unused_mark
from jaxllm.text.tokenizer import Tokenizer


def write_chatml(writer: SpanWriter, messages: Sequence[Message]) -> None:
    """The ChatML format; `<|im_end|>` ends an answer, whatever the tokenizer's eos is."""
    special = writer.tokenizer.special
    missing = [name for name in ("<|im_start|>", "<|im_end|>") if name not in special.ids]
    if missing:
        raise UserError(
            f"template chatml needs the special token {missing[0]}, which the tokenizer "
            f'{writer.tokenizer.name} has not; use the template "llm_jp_3" or "plain"'
        )
    mark = unused_mark(text_with_context(message) for message in messages)
    for message in messages:
        writer.marked_text(f"<|im_start|>{message.role}\n", mark=mark)
        text = special.mask(text_with_context(message), mark)
        writer.marked_text(f"{text}<|im_end|>", mark=mark, trained=message.role == "assistant")
        writer.marked_text("\n", mark=mark)
    if messages[-1].role == "user":
        writer.marked_text("<|im_start|>assistant\n", mark=mark)


def write_chat(
    writer: SpanWriter,
    messages: Sequence[Message],
    *,
    source: str,
    date: str,
    variables: Mapping[str, Any],
) -> None:
    """The tokenizer's own Jinja template `source`, as transformers renders it.

    The place of each answer is found by rendering the messages before it with the generation
    prompt; the answer reaches to the special token that ends its turn, or, at the end of a
    template that prints none, to an eos that is added. Names of special tokens within a message
    stay ordinary text.

    Raises UserError where the template refuses the messages, or where the conversation so far is
    written differently once more follows, so that no prompt would match what was trained.
    """
    tokenizer = writer.tokenizer
    special = tokenizer.special
    mark = unused_mark(text_with_context(message) for message in messages)
    turns = [
        {"role": message.role, "content": special.mask(text_with_context(message), mark)}
        for message in messages
    ]
    rendered = functools.partial(
        render_chat, tokenizer, source=source, date=date, variables=variables
    )
    full = rendered(turns, asks=messages[-1].role == "user")
    # SmolLM2's bos is `<|im_start|>`: only a template that prints bos by its name opens with it.
    bos = tokenizer.token_string(tokenizer.bos_id)
    writer.begins_with_bos = "bos_token" in source and bos is not None and full.startswith(bos)
    cursor, closed = 0, True
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        prompt = rendered(turns[:index], asks=True)
        if not full.startswith(prompt) or len(prompt) < cursor:
            raise UserError(
                f"the chat template of {tokenizer.name} writes the conversation before message "
                f"{index} differently once the answer follows, so prompts would not match what is "
                'trained; use "chatml" or "llm_jp_3", or drop all but the last turn'
            )
        own = rendered(turns[: index + 1], asks=False)
        stop, closed = _answer_end(full, len(prompt), own, special)
        writer.marked_text(full[cursor : len(prompt)], mark=mark)
        writer.marked_text(full[len(prompt) : stop], mark=mark, trained=True)
        cursor = stop
    writer.marked_text(full[cursor:], mark=mark)
    if messages[-1].role == "assistant" and not closed:
        writer.token(tokenizer.eos_id, trained=True)


def render_chat(
    tokenizer: Tokenizer,
    turns: Sequence[Mapping[str, str]],
    *,
    source: str,
    asks: bool,
    date: str,
    variables: Mapping[str, Any],
) -> str:
    """The text of the Jinja template `source` for turns of `role` and `content`.

    With `asks` the beginning of the next answer is printed too.

    Raises UserError where the template refuses the turns.
    """
    names = {
        f"{key}_token": name
        for key in ("bos", "eos", "pad", "unk")
        if (name := tokenizer.token_string(getattr(tokenizer, f"{key}_id"))) is not None
    }
    values = {**names, **variables, "strftime_now": functools.partial(_strftime, date)}
    try:
        return _compiled(source).render(
            messages=list(turns),
            tools=None,
            documents=None,
            add_generation_prompt=asks,
            **values,
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise UserError(
            f"the chat template of {tokenizer.name} refuses these messages: {error}"
        ) from None


def text_with_context(message: Message) -> str:
    """Returns a message as one text: content, answer format, context, blank lines between them."""
    parts = (message.content, message.answer_format, message.context)
    return "\n\n".join(filter(None, parts))


def _answer_end(full: str, start: int, own: str, special: SpecialTokens) -> tuple[int, bool]:
    """Where the answer that starts at `start` ends, and whether a special token ends it.

    `own` is the rendering of the conversation up to this answer.
    """
    found = [(start + a, start + b) for a, b, _ in special.find(full[start:])]
    if full.startswith(own):
        inside = [end for _, end in found if end <= len(own)]
        if inside and not full[inside[-1] : len(own)].strip():
            return inside[-1], True
        return len(own), False
    # Some templates end a turn of the past otherwise than the last one (`<|end|>`, `<|return|>`):
    # the end token is the first one that reaches beyond what both renderings share.
    shared = next(i for i, (a, b) in enumerate(zip(full, own, strict=False)) if a != b)
    end = next((end for _, end in found if end > shared), None)
    return (len(full), False) if end is None else (end, True)


class _GenerationBlock(jinja2.ext.Extension):
    """`{% generation %}`, with which templates mark answers for transformers: the text inside."""

    tags = {"generation"}  # noqa: RUF012 (declared so by jinja2)

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@functools.lru_cache(maxsize=16)
def _compiled(source: str) -> jinja2.Template:
    # The settings transformers renders chat templates with.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols, _GenerationBlock],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    return environment.from_string(source)


def _to_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own filter escapes HTML characters, which no prompt wants.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime(date: str, form: str) -> str:
    return datetime.datetime.fromisoformat(date).strftime(form)
