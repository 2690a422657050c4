"""Text as it is, for models that run elsewhere and have a tokenizer of their own.

An endpoint takes messages. The chat template here writes a conversation down as a JSON text
sequence (RFC 7464), from which `messages_of` reads the messages again; any other prompt is one
message of the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from jaxllm.text.example import Message
from jaxllm.text.special_tokens import SpecialTokens
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.text.tokenizer_settings import TokenizerSettings

_SEPARATOR = "\x1e"
_TEMPLATE = "{% for message in messages %}" + _SEPARATOR + "{{ message | tojson }}\n{% endfor %}"
_NUM_CODE_POINTS = 0x110000


class Characters(Tokenizer):
    """Every character is an id, its code point; one id more ends a text."""

    file_name = ""  # there is none

    def __init__(self, name: str):
        super().__init__(
            name=name,
            special=SpecialTokens(ids={}),
            settings=TokenizerSettings(chat_template=_TEMPLATE),
            vocab_size=_NUM_CODE_POINTS + 1,
            bos_id=None,
            eos_id=_NUM_CODE_POINTS,
            pad_id=None,
            unk_id=None,
            adds_bos=False,
            prefix_after_special=False,
        )

    def _encode_text(self, text: str, *, continues: bool) -> list[int]:
        return list(map(ord, text))

    def _decode_text(self, ids: list[int], *, continues: bool) -> str:
        return "".join(chr(id) for id in ids if id < _NUM_CODE_POINTS)

    def _file_bytes(self) -> bytes:
        return b""


def messages_of(tokenizer: Characters, ids: Iterable[int]) -> tuple[Message, ...]:
    """The messages that a prompt of `Characters` holds."""
    text = tokenizer.decode(ids)
    if not text.startswith(_SEPARATOR):
        return (Message(role="user", content=text),)
    records = map(json.loads, text.split(_SEPARATOR)[1:])
    return tuple(Message(role=record["role"], content=record["content"]) for record in records)
