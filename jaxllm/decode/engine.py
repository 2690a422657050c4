"""The decode engine: many requests in, answers out, on the weights training uses.

    engine = Engine(params, config, tokenizer)
    for completion in engine.generate(requests): ...

What requests have in common is computed once, the rest of their prompts side by side in packed
rows, and rows that finish are refilled from those that wait. Results do not depend on how requests
are grouped or ordered.
"""

from __future__ import annotations

import bisect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import jax
from jax.sharding import Mesh

from jaxllm.decode.generation import Generated, Generation
from jaxllm.decode.requests import Completion, Request, Score, ScoreRequest
from jaxllm.decode.runtime import Runtime, Stats
from jaxllm.decode.scoring import score_continuations
from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.text.tokenizer import Tokenizer


class Engine:
    """Generation and scoring of many requests on one set of weights.

    Args:
        params: the decoder's weights, stacked as training holds them, on any sharding.
        config: their architecture; `config.dtype` is the dtype everything is computed in.
        tokenizer: turns ids into text and says which ids exist and which end an answer.
        mesh: where the weights lie, if they are sharded; requests are then split over it.
        cache_bytes: room for the keys and values of the rows that are decoded together; by default
            a share of the memory that is free.
        max_rows: the most of them; by default 64 on CPU and 256 on accelerators.
        row_length: tokens of a packed row of prompts.
        min_steps: decode steps at least between two refills of rows; by default 1 on CPU and 8 on
            accelerators, which would otherwise wait for the host every few steps.
    """

    def __init__(
        self,
        params: Params,
        config: ModelConfig,
        tokenizer: Tokenizer,
        *,
        mesh: Mesh | None = None,
        cache_bytes: int | None = None,
        max_rows: int | None = None,
        row_length: int = 2048,
        min_steps: int | None = None,
    ) -> None:
        if tokenizer.vocab_size > config.vocab_size:
            raise UserError(
                f"the tokenizer {tokenizer.name} has {tokenizer.vocab_size} ids, but the model "
                f"has only {config.vocab_size} embedding rows: they do not belong together"
            )
        self.config, self.tokenizer = config, tokenizer
        self._runtime = Runtime(
            params,
            config,
            mesh,
            vocab_size=tokenizer.vocab_size,
            cache_bytes=cache_bytes,
            max_rows=max_rows,
            row_length=row_length,
            min_steps=min_steps,
        )
        self._end_ids = frozenset({tokenizer.eos_id, *tokenizer.extra_stop_ids})

    @property
    def stats(self) -> Stats:
        """What was computed since the engine was made, and how much of it was padding or idle."""
        return self._runtime.stats

    def reset_stats(self) -> None:
        """Starts counting anew."""
        self._runtime.stats = Stats()

    @property
    def max_rows(self) -> int:
        """The most requests that are decoded together."""
        return self._runtime.max_rows

    @property
    def cache_dtype(self) -> str:
        """What keys and values are kept in."""
        return self._runtime.cache_dtype

    def generate(
        self,
        requests: Sequence[Request],
        *,
        known: Mapping[int, Completion] | None = None,
        on_answers: Callable[[Mapping[int, Completion]], None] | None = None,
    ) -> list[Completion]:
        """Answers in the order of `requests`.

        Args:
            known: answers given before, by index into `requests`; they are not computed again.
            on_answers: called with the new answers, by index, as they are done.

        Raises:
            UserError: an empty prompt, an id the tokenizer lacks, or a request longer than the
                model's positions.
        """
        for request in requests:
            if request.max_new_tokens < 1:
                raise UserError(f"request {request.id!r}: max_new_tokens must be at least 1")
            self._check(request.id, request.prompt_ids, request.max_new_tokens)
        answers = dict(known or {})
        end_ids = list(map(self._ends_of, requests))
        with self._runtime.on_mesh():
            while len(answers) < len(requests):
                try:
                    for finished in Generation(
                        self._runtime, requests, end_ids, self._is_stopped, answered=set(answers)
                    ):
                        new = {
                            one.index: self._completion(requests[one.index], one)
                            for one in finished
                        }
                        answers |= new
                        if on_answers:
                            on_answers(new)
                except jax.errors.JaxRuntimeError as error:
                    self._shrink(error)
        return [answers[index] for index in range(len(requests))]

    def score(
        self,
        requests: Sequence[ScoreRequest],
        *,
        known: Mapping[int, Score] | None = None,
        on_answers: Callable[[Mapping[int, Score]], None] | None = None,
    ) -> list[Score]:
        """Log-likelihoods of given continuations, in the order of `requests`.

        `known` and `on_answers` are as in `generate`.

        Raises:
            UserError: as `generate`, or an empty continuation.
        """
        for request in requests:
            if not request.continuation_ids:
                raise UserError(f"request {request.id!r} has no continuation to score")
            # Its last token is only ever a target, and takes no position.
            self._check(request.id, request.prompt_ids, len(request.continuation_ids) - 1)
            self._check_ids(request.id, request.continuation_ids)
        scores = dict(known or {})
        with self._runtime.on_mesh():
            for done in score_continuations(self._runtime, requests, answered=set(scores)):
                new = dict(done)
                scores |= new
                if on_answers:
                    on_answers(new)
        return [scores[index] for index in range(len(requests))]

    def _ends_of(self, request: Request) -> frozenset[int]:
        return frozenset() if request.ignore_eos else self._end_ids | set(request.stop_ids)

    def _shrink(self, error: jax.errors.JaxRuntimeError) -> None:
        """Half as many rows, where memory ran out; what was answered stays answered."""
        rows = self._runtime.max_rows // 2
        known = "RESOURCE_EXHAUSTED" in str(error) and jax.process_count() == 1
        if not known or rows < self._runtime.batch_splits:
            raise error
        warnings.warn(f"out of memory; going on with {rows} rows at once", stacklevel=3)
        self._runtime.max_rows = rows

    def _is_stopped(self, request: Request, token_ids: Sequence[int]) -> bool:
        return _first_stop(self.tokenizer.decode_continuation(token_ids), request.stop) is not None

    def _completion(self, request: Request, generated: Generated) -> Completion:
        ids = list(generated.token_ids)
        text = self.tokenizer.decode_continuation(ids[:-1] if generated.ended else ids)
        reason: Literal["eos", "stop", "length"] = "eos" if generated.ended else "length"
        cut = _first_stop(text, request.stop)
        if cut is not None:
            text, reason = text[:cut], "stop"
            ids = self._until_stop(ids, request)
        return Completion(
            id=request.id,
            text=text,
            token_ids=tuple(ids),
            finish_reason=reason,
            logprob=sum(generated.logprobs[: len(ids)]),
        )

    def _until_stop(self, ids: list[int], request: Request) -> list[int]:
        """The ids up to the one that completes a stop string.

        Which ones come behind it is an accident of when the engine looks.
        """

        def is_stopped(count: int) -> bool:
            return self._is_stopped(request, ids[:count])

        return ids[: bisect.bisect_left(range(len(ids)), True, key=is_stopped)]

    def _check(self, name: str, prompt_ids: Sequence[int], new_tokens: int) -> None:
        if not len(prompt_ids):
            raise UserError(f"request {name!r} has an empty prompt: it needs at least one token")
        self._check_ids(name, prompt_ids)
        length = len(prompt_ids) + new_tokens
        if length > self.config.max_positions:
            raise UserError(
                f"request {name!r} needs {length} positions (prompt {len(prompt_ids)} + "
                f"{new_tokens} new), but the model has {self.config.max_positions}: shorten the "
                "prompt (fewer shots) or lower max_new_tokens"
            )

    def _check_ids(self, name: str, ids: Sequence[int]) -> None:
        for token in (max(ids), min(ids)):
            if not 0 <= token < self.config.vocab_size:
                raise UserError(
                    f"request {name!r} holds token id {token}, and the model's embedding has rows "
                    f"0 to {self.config.vocab_size - 1}"
                )


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    cuts = [text.find(stop) for stop in stops if stop and stop in text]
    return min(cuts) if cuts else None
