"""One run of `Engine.score`: likelihoods of given continuations, prefixes shared as in decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxllm.decode.packed import Prefix, num_slots, score
from jaxllm.decode.prefixes import PrefixGroup
from jaxllm.decode.requests import Score, ScoreRequest
from jaxllm.decode.runtime import Runtime
from jaxllm.decode.schedule import make_schedule
from jaxllm.decode.slots import prefix_of


def score_continuations(
    runtime: Runtime, requests: Sequence[ScoreRequest]
) -> Iterator[list[tuple[int, Score]]]:
    """(index, score) of the requests that were run together, until all have been."""
    # The last token of a continuation is only ever a target.
    texts = [(*r.prompt_ids, *r.continuation_ids)[:-1] for r in requests]
    plans = make_schedule(
        texts,
        [0] * len(texts),
        row_length=runtime.row_length,
        num_rows=runtime.batch_splits,
        max_items=runtime.max_items,
        window=1,
        longest_prefix=[len(r.prompt_ids) - 1 for r in requests],
    )
    group, prefix = None, None
    for plan in plans:
        if plan.group is not group:
            group = plan.group
            prefix = _prefix(runtime, group, texts[group.members[0]])
        packed = runtime.pack(plan, texts)
        counts = [len(requests[item.index].continuation_ids) for item in plan.items]
        shape = (len(plan.rows), plan.num_items, 1 << (max(counts) - 1).bit_length())
        picks, targets = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for row, items in enumerate(plan.rows):
            for number, item in enumerate(items):
                wanted = requests[item.index].continuation_ids
                picks[row, number, : len(wanted)] = np.arange(item.own - len(wanted), item.own)
                targets[row, number, : len(wanted)] = wanted
        logprobs, is_best = jax.device_get(
            score(
                runtime.params,
                runtime.config,
                packed._replace(picks_RNC=runtime.batched(picks)),
                prefix,
                runtime.batched(targets.reshape(-1, shape[2])),
                cache_dtype=runtime.cache_dtype,
                vocab_size=runtime.vocab_size,
            )
        )
        yield [
            (item.index, _score(requests[item.index], logprobs[place], is_best[place]))
            for row, items in enumerate(plan.rows)
            for place, item in enumerate(items, start=row * plan.num_items)
        ]


def _prefix(runtime: Runtime, group: PrefixGroup, text: Sequence[int]) -> Prefix | None:
    if not group.length:
        return None
    layers = runtime.run_prefix(text[: group.length])
    return prefix_of(layers, jnp.int32(0), jnp.int32(group.length), num_slots(layers))


def _score(request: ScoreRequest, logprobs: np.ndarray, is_best: np.ndarray) -> Score:
    count = len(request.continuation_ids)
    return Score(
        id=request.id,
        logprob=float(logprobs[:count].sum()),
        num_tokens=count,
        is_greedy=bool(is_best[:count].all()),
    )
