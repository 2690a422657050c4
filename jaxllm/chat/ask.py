"""Requests to replies: from the journal where they stand there, from the model otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.chat.journal import CallJournal
from jaxllm.chat.messages import ChatModel, ChatReply, ChatRequest
from jaxllm.observe.progress import Progress


def ask(
    model: ChatModel, requests: Sequence[ChatRequest], journal: CallJournal, *, title: str
) -> list[ChatReply]:
    """Replies in the order of the requests; raises what the model raises."""
    replies = {
        index: reply
        for index, request in enumerate(requests)
        if (reply := journal.get(model.identity, request)) is not None
    }
    waiting = [index for index in range(len(requests)) if index not in replies]
    if not waiting:
        return [replies[index] for index in range(len(requests))]
    with Progress(title, total=len(requests), unit="calls", completed=len(replies)) as bar:

        def keep(new: Mapping[int, ChatReply]) -> None:
            placed = {waiting[index]: reply for index, reply in new.items()}
            journal.add(model.identity, [(requests[i], reply) for i, reply in placed.items()])
            replies.update(placed)
            bar.update(len(placed))

        model.reply(
            [requests[index] for index in waiting], keep, before=journal.usage(model.identity)
        )
    return [replies[index] for index in range(len(requests))]
