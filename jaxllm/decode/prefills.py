"""The prompts of one run of `Engine.generate`: prefilled in order, ahead of the rows they are for.

On CPU prefills run in threads beside the decode steps: neither keeps all cores busy alone.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Collection, Sequence

import numpy as np

from jaxllm.decode.packed import KeyValues, PackedRows, Prefix, prefill
from jaxllm.decode.pool import PrefixPool
from jaxllm.decode.prefixes import PrefixGroup
from jaxllm.decode.runtime import Runtime
from jaxllm.decode.sampling import SamplingState
from jaxllm.decode.schedule import Item, PackedPlan, size_bucket

# In threads, prompts are begun for so many rows more than are free: a part of all rows.
_ROWS_AHEAD = 4


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Prefilled:
    """A request whose prompt has run: where its keys and values are, and its first token."""

    item: Item
    group: PrefixGroup
    packed: KeyValues
    row: int  # of it, and where in the row its tokens start
    start: int
    longest: int  # of those beside it, padded
    token: int
    logprob: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Begun:
    """A prefill that is on its way; `result` waits for what it gives."""

    plan: PackedPlan
    picks_per_row: int
    result: Callable[[], tuple[np.ndarray, np.ndarray, KeyValues]]


class Prefills:
    """Runs the prefills of a schedule in its order.

    Args:
        prompts: of all requests, by index.
        plans: what is run side by side; none of them is answered altogether.
        pool: where prefixes lie, if requests share some.
        sampling: from the indices of requests, and None for padding, to the settings of picks.
        answered: indices of requests that run beside others but are not wanted.
    """

    def __init__(
        self,
        runtime: Runtime,
        prompts: Sequence[Sequence[int]],
        plans: Sequence[PackedPlan],
        pool: PrefixPool | None,
        sampling: Callable[[Sequence[int | None]], SamplingState | None],
        answered: Collection[int],
    ) -> None:
        self._runtime, self._prompts, self._pool = runtime, prompts, pool
        self._sampling, self._answered = sampling, answered
        self._plans = collections.deque(plans)
        self._begun: collections.deque[_Begun] = collections.deque()
        num_threads = runtime.prefill_threads
        self._threads = concurrent.futures.ThreadPoolExecutor(num_threads) if num_threads else None

    def close(self) -> None:
        """Waits for those that run, and begins no more."""
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    @property
    def to_come(self) -> list[PackedPlan]:
        """What `next` has not given yet."""
        return [*(begun.plan for begun in self._begun), *self._plans]

    def begin(self, wanted: int) -> None:
        """Begins as many as give `wanted` requests; in threads, some for the next rows too."""
        at_once = self._runtime.prefill_threads or 1
        if self._threads:
            wanted += self._runtime.max_rows // _ROWS_AHEAD
        while self._plans and len(self._begun) < at_once:
            if sum(len(begun.plan.items) for begun in self._begun) >= wanted:
                break
            plan = self._plans[0]
            prefix = self._prefix(plan.group)
            if prefix is None and plan.group.length:
                break  # the pool is full: rows that use older prefixes must finish first
            packed = self._runtime.pack(plan, self._prompts)
            run = functools.partial(self._run, plan, packed, prefix)
            result = self._threads.submit(run).result if self._threads else run
            picks_per_row = packed.picks_RQ.shape[1]
            self._begun.append(_Begun(plan=plan, picks_per_row=picks_per_row, result=result))
            self._plans.popleft()

    def next(self) -> list[Prefilled] | None:
        """The requests of the prefill that was begun first, or None if none is begun.

        Each of them uses its prefix in the pool until that is released.
        """
        if not self._begun:
            return None
        begun = self._begun.popleft()
        plan = begun.plan
        tokens, logprobs, layers = begun.result()
        prefilled = []
        for row, items in enumerate(plan.rows):
            start = 0
            for number, item in enumerate(items, start=row * begun.picks_per_row):
                one = Prefilled(
                    item=item,
                    group=plan.group,
                    packed=layers,
                    row=row,
                    start=start,
                    longest=plan.longest,
                    token=int(tokens[number]),
                    logprob=float(logprobs[number]),
                )
                start += item.own
                if item.index not in self._answered:
                    prefilled.append(one)
        if self._pool is not None:
            for _ in prefilled:
                self._pool.use(plan.group)
            if not any(other.group is plan.group for other in self.to_come):
                self._pool.last_prefill(plan.group)
        return prefilled

    def _prefix(self, group: PrefixGroup) -> Prefix | None:
        if not group.length or self._pool is None:
            return None
        if not self._pool.holds(group):
            if not self._pool.has_room(size_bucket(group.length)):
                return None
            prompt = self._prompts[group.members[0]]
            self._pool.add(group, self._runtime.run_prefix(prompt[: group.length]))
        return self._pool.prefix(group)

    def _run(
        self, plan: PackedPlan, packed: PackedRows, prefix: Prefix | None
    ) -> tuple[np.ndarray, np.ndarray, KeyValues]:
        runtime = self._runtime
        picks_per_row = packed.picks_RQ.shape[1]
        picked: list[int | None] = [None] * packed.picks_RQ.size
        for row, items in enumerate(plan.rows):
            for number, item in enumerate(items, start=row * picks_per_row):
                picked[number] = item.index
        tokens, logprobs, layers = prefill(
            runtime.params,
            runtime.config,
            packed,
            prefix,
            self._sampling(picked),
            reach=plan.reach,
            cache_dtype=runtime.cache_dtype,
            vocab_size=runtime.vocab_size,
        )
        return *runtime.fetch((tokens, logprobs)), layers
