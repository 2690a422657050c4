"""One run of `Engine.generate`: prefills ahead, refills rows as they finish, reads answers.

The host knows every request's length and cap, so it stays ahead of the device: prompts are
prefilled before a row is free for them, and a decode call returns only when rows have finished.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxllm.decode.packed import num_slots
from jaxllm.decode.pool import PrefixPool
from jaxllm.decode.prefills import Prefilled, Prefills
from jaxllm.decode.requests import Request
from jaxllm.decode.runtime import Runtime
from jaxllm.decode.sampling import SamplingState, sampling_state
from jaxllm.decode.schedule import make_schedule, size_bucket
from jaxllm.decode.slots import (
    Slots,
    Taken,
    decode,
    resize_prompts,
    take_rows,
)

# Steps between two looks at the text of rows that have stop strings.
STOP_STRING_STRIDE = 8
# Prompt slots are cut when so small a part is enough: a cut copies what stays.
_SHRINK_BELOW = 0.85
# The step over all layers takes longest to compile: few sizes of it.
_SLOT_PARTS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generated:
    """What the device gave for one request: ids, their log-probabilities, and whether an end id."""

    index: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool


# Tells whether the text of these ids holds one of the request's stop strings.
IsStopped = Callable[[Request, Sequence[int]], bool]


class Generation:
    """Answers requests in the order in which they finish.

    Args:
        end_ids: of each request, the ids that end its answer.
        is_stopped: looks for stop strings, for requests that have some.
        answered: indices of requests that were answered before. Prompts are packed as if they were
            not, so that the last bit of the others does not depend on where a run was cut off.
    """

    def __init__(
        self,
        runtime: Runtime,
        requests: Sequence[Request],
        end_ids: Sequence[frozenset[int]],
        is_stopped: IsStopped,
        *,
        answered: Collection[int] = (),
    ) -> None:
        self._runtime, self._requests = runtime, requests
        self._prompts = [request.prompt_ids for request in requests]
        self._end_ids, self._is_stopped = end_ids, is_stopped
        self._num_end_ids = max(1, *map(len, end_ids))
        plans = make_schedule(
            self._prompts,
            [request.max_new_tokens for request in requests],
            row_length=runtime.row_length,
            num_rows=runtime.batch_splits,
            max_items=runtime.max_items,
            together=runtime.max_rows,
        )
        plans = [plan for plan in plans if not plan.indices <= frozenset(answered)]
        self._sampled = any(
            request.temperature > 0 or request.repetition_penalty != 1.0 for request in requests
        )
        self._penalized = any(request.repetition_penalty != 1.0 for request in requests)
        self._ready: collections.deque[Prefilled] = collections.deque()
        self._rows: list[Prefilled | None] = []
        self._slots: Slots | None = None
        lengths = [group.length for group in dict.fromkeys(plan.group for plan in plans)]
        # Room for two, so that the next group can begin while rows of the last one go on.
        self._pool = PrefixPool(runtime, sorted(lengths)[-2:]) if any(lengths) else None
        self._prefills = Prefills(
            runtime, self._prompts, plans, self._pool, self._sampling, frozenset(answered)
        )

    def __iter__(self) -> Iterator[list[Generated]]:
        """The requests that finished together, until all have."""
        try:
            while self._is_waiting or self._num_live:
                yield from self._prefill_ahead()
                self._fill_rows()
                done = self._decode()
                if done:
                    yield done
        finally:
            self._prefills.close()

    @property
    def _is_waiting(self) -> bool:
        """Whether there are requests that have no row yet."""
        return bool(self._ready or self._prefills.to_come)

    @property
    def _num_live(self) -> int:
        return sum(row is not None for row in self._rows)

    def _sampling(self, indices: Sequence[int | None]) -> SamplingState | None:
        """The settings of these requests, where any request is sampled; None is padding."""
        if not self._sampled:
            return None
        requests = [None if index is None else self._requests[index] for index in indices]
        return sampling_state(
            requests, penalized=self._penalized, vocab_size=self._runtime.config.vocab_size
        )

    # ---- Prompts -----------------------------------------------------------------------------

    def _prefill_ahead(self) -> Iterator[list[Generated]]:
        """Runs prompts until as many wait as rows are free; some need no row, and are done."""
        wanted = self._runtime.max_rows - self._num_live
        while True:
            self._prefills.begin(wanted - len(self._ready))
            if len(self._ready) >= wanted or (prefilled := self._prefills.next()) is None:
                break
            done: list[Generated] = []
            for entry in prefilled:
                if answer := self._answer_of_one(entry):
                    done.append(answer)
                    self._release(entry)
                else:
                    self._ready.append(entry)
            if done:
                yield done

    def _answer_of_one(self, entry: Prefilled) -> Generated | None:
        """The answer, where the first token is all of it."""
        index, token = entry.item.index, entry.token
        ended = token in self._end_ids[index]
        if not (ended or entry.item.cap == 1 or self._stops(index, [token])):
            return None
        return Generated(index=index, token_ids=(token,), logprobs=(entry.logprob,), ended=ended)

    def _release(self, entry: Prefilled) -> None:
        if self._pool is not None:
            self._pool.release(entry.group)

    def _stops(self, index: int, token_ids: Sequence[int]) -> bool:
        request = self._requests[index]
        return bool(request.stop) and self._is_stopped(request, token_ids)

    # ---- Rows --------------------------------------------------------------------------------

    def _fill_rows(self) -> None:
        if not self._ready:
            return
        slots = self._slots or self._make_slots()
        free = [number for number, row in enumerate(self._rows) if row is None]
        chosen = [self._ready.popleft() for _ in range(min(len(free), len(self._ready)))]
        if not chosen:
            return
        live = [entry for entry in self._rows if entry is not None]
        longest = max([*(e.item.own for e in live), *(e.longest for e in chosen)])
        needed = size_bucket(longest, _SLOT_PARTS)
        have = num_slots(slots.prompts)
        if needed > have or needed <= have * _SHRINK_BELOW:
            slots = resize_prompts(slots, needed)
        by_packed: dict[int, list[tuple[int, Prefilled]]] = {}
        for number, entry in zip(free, chosen, strict=False):
            self._rows[number] = entry
            by_packed.setdefault(id(entry.packed), []).append((number, entry))
        for group in by_packed.values():
            slots = self._take(slots, group)
        self._slots = slots

    def _make_slots(self) -> Slots:
        runtime = self._runtime
        waiting = [item for plan in self._prefills.to_come for item in plan.items]
        everything = [*waiting, *(entry.item for entry in self._ready)]
        ring_slots = size_bucket(max(item.cap for item in everything))
        longest = size_bucket(max(item.own for item in everything), _SLOT_PARTS)
        rows = runtime.num_rows(len(everything), longest + ring_slots)
        self._rows = [None] * rows
        return runtime.empty_slots(
            self._sampling([None] * rows),
            rows=rows,
            prompt_slots=size_bucket(self._ready[0].longest, _SLOT_PARTS),
            ring_slots=ring_slots,
            num_end_ids=self._num_end_ids,
        )

    def _take(self, slots: Slots, group: Sequence[tuple[int, Prefilled]]) -> Slots:
        """Copies requests of one packed prefill into their rows."""
        size = len(self._rows)
        entries = [entry for _, entry in group]

        def array(values: Sequence[int | float], rest: int, dtype: type) -> jax.Array:
            return jnp.asarray(np.array([*values, *[rest] * (size - len(group))], dtype))

        end_ids = np.full((size, self._num_end_ids), -1, np.int32)
        for number, entry in enumerate(entries):
            ids = sorted(self._end_ids[entry.item.index])
            end_ids[number, : len(ids)] = ids
        pool_starts = [
            0 if self._pool is None else self._pool.start(entry.group) for entry in entries
        ]
        taken = Taken(
            slot=array([number for number, _ in group], size, np.int32),
            row=array([entry.row for entry in entries], 0, np.int32),
            start=array([entry.start for entry in entries], 0, np.int32),
            prompt_length=array([entry.item.own for entry in entries], 0, np.int32),
            prefix_start=array(pool_starts, 0, np.int32),
            prefix_length=array([entry.group.length for entry in entries], 0, np.int32),
            budget=array([entry.item.cap for entry in entries], 0, np.int32),
            end_ids=jnp.asarray(end_ids),
            token=array([entry.token for entry in entries], 0, np.int32),
            logprob=array([entry.logprob for entry in entries], 0, np.float32),
        )
        indices = [entry.item.index for entry in entries]
        sampling = self._sampling([*indices, *[None] * (size - len(group))])
        if sampling is not None and sampling.seen_BV is not None:
            seen = sampling.seen_BV.at[jnp.arange(size), taken.token].set(True)
            sampling = sampling._replace(seen_BV=seen)
        return take_rows(
            slots,
            entries[0].packed,
            taken,
            jnp.int32(len(group)),
            sampling,
            longest=entries[0].longest,
        )

    def _decode(self) -> list[Generated]:
        live = self._num_live
        if not live or self._slots is None:
            return []
        rows = len(self._rows)
        # With requests waiting, a few free rows are worth a refill; otherwise run to the end.
        wanted_free = rows - live + max(1, rows // 16) if self._is_waiting else rows
        entries = [entry for entry in self._rows if entry is not None]
        has_stops = any(self._requests[entry.item.index].stop for entry in entries)
        limit = STOP_STRING_STRIDE if has_stops else self._slots.tokens_BG.shape[1]
        runtime = self._runtime
        self._slots, steps = decode(
            runtime.params,
            runtime.config,
            self._slots,
            None if self._pool is None else self._pool.layers,
            jnp.int32(limit),
            jnp.int32(wanted_free),
            min_steps=runtime.min_steps,
            vocab_size=runtime.vocab_size,
        )
        return self._finished(int(steps))

    def _finished(self, steps: int) -> list[Generated]:
        assert self._slots is not None
        tokens, logprobs, counts, done, ended = self._runtime.fetch(
            (
                self._slots.tokens_BG,
                self._slots.logprobs_BG,
                self._slots.counts_B,
                self._slots.done_B,
                self._slots.ended_B,
            )
        )
        stats = self._runtime.stats
        stats.decode_steps += steps
        stats.row_steps += steps * len(self._rows)
        finished: list[Generated] = []
        stopped: list[int] = []
        for number, entry in enumerate(self._rows):
            if entry is None:
                continue
            count = int(counts[number])
            ids = tokens[number, :count].tolist()
            if not done[number]:
                if not self._stops(entry.item.index, ids):
                    continue
                stopped.append(number)
            stats.live_row_steps += count - 1
            finished.append(
                Generated(
                    index=entry.item.index,
                    token_ids=tuple(ids),
                    logprobs=tuple(logprobs[number, :count].tolist()),
                    ended=bool(ended[number]),
                )
            )
            self._rows[number] = None
            self._release(entry)
        if stopped:
            freed = self._slots.done_B.at[jnp.asarray(stopped)].set(True)
            self._slots = self._slots._replace(done_B=freed)
        return finished
