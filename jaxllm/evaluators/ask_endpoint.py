"""The engine's requests put to an endpoint: prompts as messages, texts as completions."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence

from jaxllm.chat import ChatReply, ChatRequest, Usage
from jaxllm.chat.budget import most_used
from jaxllm.chat.endpoint import REFUSED, Endpoint
from jaxllm.decode import Completion, Request
from jaxllm.errors import UserError
from jaxllm.text.characters import Characters, messages_of

_UNKNOWN_ID = -1


def ask_endpoint(
    endpoint: Endpoint,
    requests: Sequence[Request],
    *,
    known: Mapping[int, Completion],
    on_answers: Callable[[Mapping[int, Completion]], None],
) -> list[Completion]:
    """As `Engine.generate`, for prompts that `Characters` has written.

    What the endpoint refuses to answer is an empty text. Ids are unknown, but as many as there
    were; so is the likelihood. The caps on tokens and cost count what is `known` too, its prompts
    by their length.

    Raises:
        UserError: the endpoint cannot be asked, or some calls failed; what was answered has been
            handed over.
    """
    tokenizer = Characters(endpoint.name)
    asked = [
        ChatRequest(
            id=request.id,
            messages=messages_of(tokenizer, request.prompt_ids),
            max_tokens=request.max_new_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed if request.temperature else None,
        )
        for request in requests
    ]
    answers = dict(known)
    waiting = [index for index in range(len(requests)) if index not in known]
    failed: list[str] = []

    def keep(replies: Mapping[int, ChatReply]) -> None:
        new = {}
        for place, reply in replies.items():
            index = waiting[place]
            if reply.error and reply.finish_reason != REFUSED:
                failed.append(reply.error)
            else:
                new[index] = _completion(requests[index], reply)
        answers.update(new)
        on_answers(new)

    before = [
        Usage(most_used(asked[index]).prompt_tokens, len(answer.token_ids), 1)
        for index, answer in known.items()
    ]
    endpoint.reply([asked[index] for index in waiting], keep, before=sum(before, start=Usage()))
    if failed:
        raise UserError(
            f"{endpoint.name}: {len(failed)} of {len(requests)} calls have no answer "
            f"({failed[0]}); the others are kept, and the same command goes on from there"
        )
    return [answers[index] for index in range(len(requests))]


def _completion(request: Request, reply: ChatReply) -> Completion:
    if reply.error:
        print(f"{request.id} counts as an empty answer: {reply.error}", file=sys.stderr)
    cuts = [reply.text.find(stop) for stop in request.stop if stop and stop in reply.text]
    return Completion(
        id=request.id,
        text=reply.text[: min(cuts)] if cuts else reply.text,
        token_ids=(_UNKNOWN_ID,) * (reply.completion_tokens or 0),
        finish_reason="stop" if cuts else "length" if reply.finish_reason == "length" else "eos",
        logprob=math.nan,
    )
