"""The decode engine: many requests in, answers out, on the weights training uses.

    engine = Engine(params, config, tokenizer)
    for completion in engine.generate(requests): ...

Requests are grouped into batches of a few static shapes; each batch is prefilled and decoded in
jitted loops. Results do not depend on how requests are grouped or ordered.
"""

from __future__ import annotations

import bisect
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxllm.decode.batching import Batch, length_bucket, make_batches
from jaxllm.decode.programs import DecodeState, Limits, decode, prefill, score, unstack_layers
from jaxllm.decode.requests import Completion, Request, Score, ScoreRequest
from jaxllm.decode.sampling import SamplingState
from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.parallel.rules import partition_spec
from jaxllm.text.tokenizer import Tokenizer

# Steps between two looks at the text of a batch that has stop strings.
_STOP_STRING_STRIDE = 8

_Asked = TypeVar("_Asked", Request, ScoreRequest)
_Answer = TypeVar("_Answer", Completion, Score)


class Engine:
    """Batched generation and scoring with a KV cache.

    Args:
        params: the decoder's weights, stacked as training holds them, on any sharding.
        config: their architecture; `config.dtype` is the dtype everything is computed in.
        tokenizer: turns ids into text and says which ids exist and which end an answer.
        mesh: where the weights lie, if they are sharded; batches are then split over it.
        cache_bytes: host setting for the size of a batch's keys and values.
        max_rows: the most requests in one batch.
    """

    def __init__(
        self,
        params: Params,
        config: ModelConfig,
        tokenizer: Tokenizer,
        *,
        mesh: Mesh | None = None,
        cache_bytes: int = 1 << 30,
        max_rows: int = 64,
    ) -> None:
        if tokenizer.vocab_size > config.vocab_size:
            raise UserError(
                f"the tokenizer {tokenizer.name} has {tokenizer.vocab_size} ids, but the model "
                f"has only {config.vocab_size} embedding rows: they do not belong together"
            )
        self.config, self.tokenizer, self.mesh = config, tokenizer, mesh
        self.cache_bytes, self.max_rows = cache_bytes, max_rows
        self._params = unstack_layers(params, config)
        self._end_ids = {tokenizer.eos_id, *tokenizer.extra_stop_ids}

    def generate(
        self,
        requests: Sequence[Request],
        *,
        known: Mapping[int, Completion] | None = None,
        on_answers: Callable[[Mapping[int, Completion]], None] | None = None,
    ) -> list[Completion]:
        """Answers in the order of `requests`.

        Args:
            known: answers given before, by index into `requests`; they are not computed again, and
                the others come out as if all had been asked.
            on_answers: called with the new answers, by index, as they are done.

        Raises:
            UserError: an empty prompt, an id the tokenizer lacks, or a request longer than the
                model's positions.
        """
        for request in requests:
            self._check(request.id, request.prompt_ids, request.max_new_tokens)
        shapes = [(len(request.prompt_ids), request.max_new_tokens) for request in requests]
        return self._in_batches(requests, shapes, self._run, known or {}, on_answers)

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
            self._check(request.id, request.prompt_ids, len(request.continuation_ids))
            self._check_ids(request.id, request.continuation_ids)
        shapes = [
            (len(request.prompt_ids) + len(request.continuation_ids), len(request.continuation_ids))
            for request in requests
        ]
        return self._in_batches(requests, shapes, self._score, known or {}, on_answers)

    def _in_batches(
        self,
        requests: Sequence[_Asked],
        shapes: Sequence[tuple[int, int]],
        run: Callable[[Batch, Sequence[_Asked]], Iterable[_Answer]],
        known: Mapping[int, _Answer],
        on_answers: Callable[[Mapping[int, _Answer]], None] | None,
    ) -> list[_Answer]:
        # Batches are made of all requests, known ones too: rounding depends on a batch's shape, so
        # an interrupted run must end with the batches of one that was not.
        answers = dict(known)
        for batch in make_batches(shapes, self.config, self.cache_bytes, self.max_rows):
            if all(index in known for index in batch.members):
                continue
            group = [requests[index] for index in batch.members]
            done = zip(batch.members, run(batch, group), strict=True)
            new = {index: answer for index, answer in done if index not in known}
            answers |= new
            if on_answers:
                on_answers(new)
        return [answers[index] for index in range(len(requests))]

    def _run(self, batch: Batch, group: Sequence[Request]) -> Iterable[Completion]:
        prompts = np.full((batch.rows, batch.prompt_slots), self.tokenizer.pad_id, np.int32)
        pads = np.full(batch.rows, batch.prompt_slots - 1, np.int32)
        budgets = np.zeros(batch.rows, np.int32)
        ends = [
            set() if request.ignore_eos else self._end_ids | set(request.stop_ids)
            for request in group
        ]
        end_ids = np.full((batch.rows, max(1, *map(len, ends))), -1, np.int32)
        for row, request in enumerate(group):
            pads[row] = batch.prompt_slots - len(request.prompt_ids)
            prompts[row, pads[row] :] = request.prompt_ids
            budgets[row] = request.max_new_tokens
            end_ids[row, : len(ends[row])] = sorted(ends[row])
        limits = Limits(self._place(budgets), self._place(end_ids))
        sampling = self._sampling(group, batch.rows)
        state = prefill(
            self._params,
            self.config,
            self._place(prompts),
            self._place(pads),
            limits,
            sampling,
            vocab_size=self.tokenizer.vocab_size,
            num_new=batch.new_slots,
        )
        has_stops = any(request.stop for request in group)
        remaining = int(budgets.max()) - 1
        while remaining > 0:
            steps = min(remaining, _STOP_STRING_STRIDE) if has_stops else remaining
            state = decode(
                self._params,
                self.config,
                state,
                limits,
                sampling,
                jnp.int32(steps),
                vocab_size=self.tokenizer.vocab_size,
            )
            remaining -= steps
            if has_stops:
                state = self._finish_stopped(state, group)
                if bool(jnp.all(state.done_B)):
                    break
        return self._completions(state, group)

    def _finish_stopped(self, state: DecodeState, group: Sequence[Request]) -> DecodeState:
        tokens, counts = jax.device_get((state.tokens_BN, state.counts_B))
        done = np.array(jax.device_get(state.done_B))
        for row, request in enumerate(group):
            if request.stop and not done[row]:
                text = self.tokenizer.decode_continuation(tokens[row, : counts[row]].tolist())
                done[row] = _first_stop(text, request.stop) is not None
        return state._replace(done_B=self._place(done))

    def _completions(self, state: DecodeState, group: Sequence[Request]) -> Iterable[Completion]:
        tokens, counts, logprobs, ended = jax.device_get(
            (state.tokens_BN, state.counts_B, state.logprobs_BN, state.ended_B)
        )
        for row, request in enumerate(group):
            ids = tokens[row, : counts[row]].tolist()
            text = self.tokenizer.decode_continuation(ids[:-1] if ended[row] else ids)
            reason: Literal["eos", "stop", "length"] = "eos" if ended[row] else "length"
            cut = _first_stop(text, request.stop)
            if cut is not None:
                text, reason = text[:cut], "stop"
                ids = self._until_stop(ids, request.stop)
            yield Completion(
                id=request.id,
                text=text,
                token_ids=tuple(ids),
                finish_reason=reason,
                logprob=float(logprobs[row, : len(ids)].sum()),
            )

    def _until_stop(self, ids: list[int], stops: Sequence[str]) -> list[int]:
        """The ids up to the one that completes a stop string.

        Which ones come behind it is an accident of when the engine looks.
        """

        def is_stopped(count: int) -> bool:
            return _first_stop(self.tokenizer.decode_continuation(ids[:count]), stops) is not None

        return ids[: bisect.bisect_left(range(len(ids)), True, key=is_stopped)]

    def _score(self, batch: Batch, group: Sequence[ScoreRequest]) -> Iterable[Score]:
        slots = length_bucket(max(len(r.prompt_ids) + len(r.continuation_ids) for r in group))
        width = length_bucket(max(len(request.continuation_ids) for request in group))
        tokens = np.full((batch.rows, slots), self.tokenizer.pad_id, np.int32)
        segments = np.zeros((batch.rows, slots), np.int32)
        where = np.zeros((batch.rows, width), np.int32)
        targets = np.zeros((batch.rows, width), np.int32)
        for row, request in enumerate(group):
            ids = (*request.prompt_ids, *request.continuation_ids)
            count = len(request.continuation_ids)
            tokens[row, : len(ids)], segments[row, : len(ids)] = ids, 1
            where[row, :count] = np.arange(count) + len(request.prompt_ids) - 1
            targets[row, :count] = request.continuation_ids
        arrays = (self._place(array) for array in (tokens, segments, where, targets))
        logprobs, is_best = jax.device_get(
            score(self._params, self.config, *arrays, vocab_size=self.tokenizer.vocab_size)
        )
        for row, request in enumerate(group):
            count = len(request.continuation_ids)
            yield Score(
                id=request.id,
                logprob=float(logprobs[row, :count].sum()),
                num_tokens=count,
                is_greedy=bool(is_best[row, :count].all()),
            )

    def _sampling(self, group: Sequence[Request], rows: int) -> SamplingState | None:
        if all(request.temperature == 0 for request in group):
            return None
        fill = rows - len(group)
        temperature = np.array([r.temperature for r in group] + [0.0] * fill, np.float32)
        top_p = np.array([r.top_p for r in group] + [1.0] * fill, np.float32)
        seeds = np.array([r.seed for r in group] + [0] * fill, np.uint32)
        names = np.array([zlib.crc32(r.id.encode()) for r in group] + [0] * fill, np.uint32)
        keys = jax.vmap(lambda seed, name: jax.random.fold_in(jax.random.key(seed), name))
        return SamplingState(jnp.asarray(temperature), jnp.asarray(top_p), keys(seeds, names))

    def _place(self, array: np.ndarray) -> jax.Array:
        if self.mesh is None or self.mesh.size == 1:
            return jnp.asarray(array)
        spec = partition_spec(("batch",))
        splits = self.mesh.shape["data"] * self.mesh.shape["fsdp"]
        if array.shape[0] % splits:
            spec = partition_spec((None,))
        return jax.device_put(array, NamedSharding(self.mesh, spec))

    def _check(self, name: str, prompt_ids: Sequence[int], new_tokens: int) -> None:
        if not len(prompt_ids):
            raise UserError(f"request {name!r} has an empty prompt: it needs at least one token")
        if new_tokens < 1:
            raise UserError(f"request {name!r}: max_new_tokens must be at least 1")
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
