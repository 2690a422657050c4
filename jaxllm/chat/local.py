"""Weights of ours, asked in messages: the decode engine behind a prompt template."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.chat.messages import ChatReply, ChatRequest, OnReplies, Usage
from jaxllm.decode import Completion, Engine, Request, Score, ScoreRequest
from jaxllm.text.templates import get_template


class LocalChat:
    """A `ChatModel` on the engine.

    Args:
        identity: a fingerprint of the weights and of all else that decides an answer.
        template: how messages are written down; "chat" is the tokenizer's own way.
    """

    repeats = True

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        identity: str,
        provenance: Mapping[str, Any],
        template: str = "chat",
    ) -> None:
        self.name = name
        self.identity = f"{identity} {template}"
        self.provenance: Mapping[str, Any] = {
            "type": "local",
            "model": name,
            "template": template,
            **provenance,
        }
        self._engine, self._tokenizer = engine, engine.tokenizer
        self._template = get_template(template, engine.tokenizer)
        self._stop_ids = self._template.stop_ids(engine.tokenizer)

    def reply(
        self, requests: Sequence[ChatRequest], on_replies: OnReplies, *, before: Usage
    ) -> None:
        """As `ChatModel.reply`; a conversation longer than the model's positions is an error."""
        del before  # our own tokens cost nothing
        prompts = [
            tuple(self._template.prompt_ids(self._tokenizer, request.messages).tolist())
            for request in requests
        ]
        written, scored = [], []
        for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            need = len(prompt) + (len(self._longest(request)) or request.max_tokens)
            positions = self._engine.config.max_positions
            if need > positions:
                error = f"the conversation needs {need} positions, and {self.name} has {positions}"
                on_replies({index: ChatReply(error=error)})
            elif request.choices:
                scored.append(index)
            else:
                written.append(index)
        self._write(written, requests, prompts, on_replies)
        self._score(scored, requests, prompts, on_replies)

    def cost(self, usage: Usage) -> None:
        """Nothing is paid for."""

    def _longest(self, request: ChatRequest) -> Sequence[int]:
        return max(map(self._tokenizer.encode_continuation, request.choices), key=len, default=())

    def _write(
        self,
        indices: Sequence[int],
        requests: Sequence[ChatRequest],
        prompts: Sequence[tuple[int, ...]],
        on_replies: OnReplies,
    ) -> None:
        started = time.monotonic()

        def keep(done: Mapping[int, Completion]) -> None:
            on_replies(
                {
                    indices[place]: ChatReply(
                        text=answer.text,
                        finish_reason=answer.finish_reason,
                        prompt_tokens=len(prompts[indices[place]]),
                        completion_tokens=len(answer.token_ids),
                        seconds=round(time.monotonic() - started, 3),
                        made_at=time.time(),
                    )
                    for place, answer in done.items()
                }
            )

        self._engine.generate(
            [
                Request(
                    id=requests[index].id,
                    prompt_ids=prompts[index],
                    max_new_tokens=requests[index].max_tokens,
                    stop_ids=self._stop_ids,
                    temperature=requests[index].temperature,
                    top_p=requests[index].top_p,
                    seed=requests[index].seed or 0,
                )
                for index in indices
            ],
            on_answers=keep,
        )

    def _score(
        self,
        indices: Sequence[int],
        requests: Sequence[ChatRequest],
        prompts: Sequence[tuple[int, ...]],
        on_replies: OnReplies,
    ) -> None:
        started = time.monotonic()
        places = [(index, choice) for index in indices for choice in requests[index].choices]
        own: dict[int, list[int]] = {index: [] for index in indices}
        for place, (index, _) in enumerate(places):
            own[index].append(place)
        scores: dict[int, Score] = {}

        def keep(done: Mapping[int, Score]) -> None:
            scores.update(done)
            touched = {places[place][0] for place in done}
            on_replies(
                {
                    index: ChatReply(
                        finish_reason="choices",
                        logprobs=tuple(scores[place].logprob for place in own[index]),
                        prompt_tokens=len(prompts[index]),
                        completion_tokens=0,
                        seconds=round(time.monotonic() - started, 3),
                        made_at=time.time(),
                    )
                    for index in touched
                    if scores.keys() >= set(own[index])
                }
            )

        self._engine.score(
            [
                ScoreRequest(
                    id=f"{requests[index].id}/{choice}",
                    prompt_ids=prompts[index],
                    continuation_ids=tuple(self._tokenizer.encode_continuation(choice)),
                )
                for index, choice in places
            ],
            on_answers=keep,
        )
