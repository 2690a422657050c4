"""A cap on what calls may use, in tokens or in money, that holds before a call is made."""

from __future__ import annotations

from jaxllm.chat.messages import ChatReply, ChatRequest, Usage, messages_json

# What a chat format adds to the tokens of a message's own text, generously.
_TOKENS_A_MESSAGE = 16


class Budget:
    """Lets a call through only if the caps hold even when it uses all that it may.

    Args:
        max_tokens, max_cost: the caps; 0 is none.
        input_price, output_price: of a million tokens, in the currency of `max_cost`.
        before: what earlier calls have used.
    """

    def __init__(
        self,
        *,
        max_tokens: int,
        max_cost: float,
        input_price: float,
        output_price: float,
        before: Usage,
    ) -> None:
        self._max_tokens, self._max_cost = max_tokens, max_cost
        self._input_price, self._output_price = input_price, output_price
        self._used = before
        self._reserved: list[Usage] = []

    def reserve(self, request: ChatRequest) -> Usage | None:
        """Sets aside the most that a call may use; None where that would pass a cap."""
        most = most_used(request)
        taken = sum([*self._reserved, most], start=self._used)
        if self._max_tokens and taken.prompt_tokens + taken.completion_tokens > self._max_tokens:
            return None
        if self._max_cost and self._cost(taken) > self._max_cost:
            return None
        self._reserved.append(most)
        return most

    def settle(self, reserved: Usage, reply: ChatReply) -> None:
        """Books what a call has used in place of what was set aside for it."""
        self._reserved.remove(reserved)
        if not reply.error:
            self._used += Usage(reply.prompt_tokens or 0, reply.completion_tokens or 0, 1)

    def _cost(self, usage: Usage) -> float:
        return cost(usage, self._input_price, self._output_price)


def most_used(request: ChatRequest) -> Usage:
    """The most a call can use: a prompt has no more tokens than bytes, an answer `max_tokens`."""
    messages = messages_json(request.messages)
    length = sum(len(message["content"].encode()) for message in messages)
    return Usage(length + _TOKENS_A_MESSAGE * (len(messages) + 1), request.max_tokens, 1)


def cost(usage: Usage, input_price: float, output_price: float) -> float:
    """What tokens cost at prices of a million."""
    return (usage.prompt_tokens * input_price + usage.completion_tokens * output_price) / 1e6
