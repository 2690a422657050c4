"""What a model is asked in messages and what it answers, wherever the model runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from jaxllm.text.example import Message

OnReplies = Callable[[Mapping[int, "ChatReply"]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One conversation whose next turn is wanted.

    `id` tells calls apart that ask the same (votes, samples), and with `seed` it fixes what a local
    model samples. `response_schema` is a JSON schema that the answer has to fit. With `choices` no
    answer is written: the reply holds the log-likelihood of each of these texts as the answer.
    """

    id: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    response_schema: Mapping[str, Any] | None = None
    choices: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the answer besides the messages; fields that are not set are left out."""
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("id", "messages")
        }
        return {name: value for name, value in fields.items() if value not in (None, ())}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatReply:
    """An answer, or with `error` why there is none.

    Token counts are what was paid for; None where the model does not tell. `logprobs` are those of
    the request's `choices`. `made_at` is when it came, in seconds since 1970.
    """

    text: str = ""
    error: str = ""
    finish_reason: str = ""
    logprobs: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    made_at: float = 0.0


@dataclasses.dataclass(frozen=True)
class Usage:
    """Tokens read and written, and the calls that took them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
        )


class ChatModel(Protocol):
    """Whatever answers messages.

    Attributes:
      name: for people.
      identity: what a journal knows it by; two models of one identity answer alike.
      provenance: what a result says of it.
      repeats: whether it answers alike each time it is asked the same at temperature 0.
    """

    name: str
    identity: str
    provenance: Mapping[str, Any]
    repeats: bool

    def reply(
        self, requests: Sequence[ChatRequest], on_replies: OnReplies, *, before: Usage
    ) -> None:
        """Hands every request's reply to `on_replies`, by index, as soon as it is there.

        `before` is what calls of this model have used already, for those that have a cap.

        Raises:
            UserError: the model cannot be asked at all.
        """

    def cost(self, usage: Usage) -> float | None:
        """What calls have cost; None where no price is known."""


def messages_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as an endpoint takes them; parts of a message become one text."""
    return [
        {
            "role": message.role,
            "content": "\n\n".join(
                filter(None, (message.content, message.answer_format, message.context))
            ),
        }
        for message in messages
    ]


def canonical(value: Any) -> str:
    """JSON with one spelling, for digests."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
