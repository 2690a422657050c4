"""One run of `Engine.score`: likelihoods of given continuations, prefixes shared as in decoding."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from jaxllm.decode.packed import Prefix, num_slots, score
from jaxllm.decode.prefixes import PrefixGroup
from jaxllm.decode.requests import Score, ScoreRequest
from jaxllm.decode.runtime import Runtime
from jaxllm.decode.schedule import make_schedule
from jaxllm.decode.slots import prefix_of


def score_continuations(
    runtime: Runtime, requests: Sequence[ScoreRequest], *, answered: Collection[int] = ()
) -> Iterator[list[tuple[int, Score]]]:
    """(index, score) of the requests that were run together, until all have been.

    The schedule is that of all requests, `answered` ones too: what is computed beside what, and so
    the last bit of every score, does not depend on where an earlier run was cut off.
    """
    # The last token of a continuation is only ever a target.
    texts = [(*r.prompt_ids, *r.continuation_ids)[:-1] for r in requests]
    plans = make_schedule(
        texts,
        [0] * len(texts),
        row_length=runtime.row_length,
        num_rows=runtime.batch_splits,
        max_items=runtime.max_items,
        together=1,
        longest_prefix=[len(r.prompt_ids) - 1 for r in requests],
    )
    plans = [plan for plan in plans if not plan.indices <= set(answered)]
    group, prefix = None, None
    for plan in plans:
        if plan.group is not group:
            group = plan.group
            prefix = _prefix(runtime, group, texts[group.members[0]])
        packed = runtime.pack(plan, texts, [len(r.continuation_ids) for r in requests])
        targets = np.zeros(packed.picks_RQ.shape, np.int32)
        for row, items in enumerate(plan.rows):
            wanted = [token for item in items for token in requests[item.index].continuation_ids]
            targets[row, : len(wanted)] = wanted
        logprobs, is_best = runtime.fetch(
            score(
                runtime.params,
                runtime.config,
                packed,
                prefix,
                runtime.batched(targets),
                reach=plan.reach,
                cache_dtype=runtime.cache_dtype,
                vocab_size=runtime.vocab_size,
            )
        )
        done = []
        for row, items in enumerate(plan.rows):
            start = 0
            for item in items:
                request = requests[item.index]
                part = slice(start, start + len(request.continuation_ids))
                if item.index not in answered:
                    done.append(
                        (item.index, _score(request, logprobs[row, part], is_best[row, part]))
                    )
                start = part.stop
        yield done


def _prefix(runtime: Runtime, group: PrefixGroup, text: Sequence[int]) -> Prefix | None:
    if not group.length:
        return None
    layers = runtime.run_prefix(text[: group.length])
    return prefix_of(layers, jnp.int32(0), jnp.int32(group.length), num_slots(layers))


def _score(request: ScoreRequest, logprobs: np.ndarray, is_best: np.ndarray) -> Score:
    return Score(
        id=request.id,
        logprob=float(logprobs.sum()),
        num_tokens=len(logprobs),
        is_greedy=bool(is_best.all()),
    )
