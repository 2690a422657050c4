"""Requests to answers: of the engine or an endpoint, but for those that the journal holds."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Generic

from etils import epath

from jaxllm.decode import Completion, Engine, Request, Score, ScoreRequest
from jaxllm.decode.ask import ask
from jaxllm.decode.journal import Answer, Journal
from jaxllm.evaluators.ask_endpoint import ask_endpoint
from jaxllm.evaluators.context import EvalContext
from jaxllm.models.decoder import Params
from jaxllm.tasks import Sample
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.fingerprint import model_fingerprint


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Answers(Generic[Answer]):
    """Answers in the order of the requests, the digest of the weights that gave them, and times.

    `timings` is what timings.json holds: the seconds it took in all, and for each request that was
    not in the journal those until its answer was there.
    """

    answers: list[Answer]
    weights: str
    timings: dict[str, Any]


def ask_completions(
    requests: Sequence[Request], params: Params, context: EvalContext, folder: epath.Path
) -> Answers[Completion]:
    """Completions of all requests; raises what `Engine.generate` raises."""
    return _ask(requests, Completion, params, context, folder)


def ask_likelihoods(
    requests: Sequence[ScoreRequest], params: Params, context: EvalContext, folder: epath.Path
) -> Answers[Score]:
    """Likelihoods of all continuations; raises what `Engine.score` raises."""
    return _ask(requests, Score, params, context, folder)


def question_record(
    tokenizer: Tokenizer, sample: Sample, prompt_ids: Sequence[int]
) -> dict[str, Any]:
    """What a sample's record says of its question, with the digest of the ids that asked it."""
    ids = ",".join(map(str, prompt_ids))
    return {
        "id": sample.id,
        "prompt_ids_sha256": hashlib.sha256(ids.encode()).hexdigest(),
        "prompt": tokenizer.decode(list(prompt_ids), skip_special=False),
        "input": sample.input,
        "gold": sample.gold,
        "num_prompt_tokens": len(prompt_ids),
    }


def _ask(
    requests: Any, kind: type[Answer], params: Params, context: EvalContext, folder: epath.Path
) -> Answers[Answer]:
    started = time.monotonic()
    run: Any
    if context.endpoint is not None and kind is Completion:
        run, weights = functools.partial(ask_endpoint, context.endpoint), ""
        fingerprint = context.endpoint.identity
    else:
        engine = Engine(params, context.architecture, context.tokenizer, mesh=context.mesh)
        run = engine.generate if kind is Completion else engine.score
        weights = weights_digest(params)
        fingerprint = model_fingerprint(weights, context.architecture, context.tokenizer)
    seconds: dict[str, float] = {}

    def note(new: Mapping[int, Answer]) -> None:
        now = round(time.monotonic() - started, 3)
        seconds.update({requests[index].id: now for index in new})
        context.preemption.raise_if_due()

    with Journal(folder / "journal", requests, kind, fingerprint=fingerprint) as journal:
        answers = ask(run, journal, title="evaluating", on_answers=note)
    total = time.monotonic() - started
    timings = {
        "seconds": round(total, 3),
        "requests_per_s": round(len(seconds) / total, 3),
        "from_journal": len(journal.known),
        "answered_after_s": seconds,
    }
    return Answers(answers=answers, weights=weights, timings=timings)
