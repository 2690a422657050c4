"""What the engine is asked and what it answers."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One prompt to continue.

    `temperature=0` decodes greedily; otherwise `top_p` keeps the smallest set of tokens with that
    much probability, `top_k` (0: all) the k most likely, `min_p` those with at least that share of
    the best one's probability. `repetition_penalty` above 1 lowers the logits of tokens that stand
    in prompt or answer, also for greedy decoding. `seed` together with `id` fixes a sampled answer,
    whatever else is in the batch. Generation ends at an end-of-sequence id of the tokenizer or of
    the request's own (a template's `stop_ids`) unless `ignore_eos`, at one of the `stop` strings
    (cut from the text), or after `max_new_tokens`.
    """

    id: str
    prompt_ids: tuple[int, ...]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


def resampled(request: Request, number: int) -> Request:
    """The request for another sample of its answer; number 0 is the request itself.

    Every number has a seed of its own, the same however many samples are drawn.
    """
    if number == 0:
        return request
    seed = np.random.SeedSequence([request.seed, number]).generate_state(1)[0]
    return dataclasses.replace(request, seed=int(seed))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """An answer: `token_ids` as generated (an end-of-sequence id included), `text` without it.

    With `finish_reason="stop"` the ids end at the one that completes the stop string, and the text
    before the string.
    `logprob` is the sum of the log-probabilities of `token_ids` under the model (temperature 1).
    """

    id: str
    text: str
    token_ids: tuple[int, ...]
    finish_reason: Literal["eos", "stop", "length"]
    logprob: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """A prompt and a given continuation whose likelihood is wanted."""

    id: str
    prompt_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """Log-likelihood of a continuation, and whether greedy decoding would have given it."""

    id: str
    logprob: float
    num_tokens: int
    is_greedy: bool
