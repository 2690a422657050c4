"""What processes know alone becomes known to all: every function here is called by all of them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

_DAY_SECONDS = 24 * 3600
_barriers = itertools.count()

T = TypeVar("T")


def is_first_process() -> bool:
    """Whether this is the process that writes and talks."""
    return jax.process_index() == 0


def say(text: str) -> None:
    """Prints a line, once for all processes."""
    if is_first_process():
        print(text, flush=True)


def wait_for_all(what: str) -> None:
    """Returns when every process is here; it may take a day, and nothing is computed."""
    if jax.process_count() == 1:
        return
    from orbax.checkpoint import multihost  # slow to import

    multihost.sync_global_processes(
        f"jaxllm: {what} {next(_barriers)}",
        timeout=_DAY_SECONDS,
        processes=set(range(jax.process_count())),
    )


def gather(value: Any) -> list[Any]:
    """Every process's `value`, a JSON value, in the order of the processes."""
    if jax.process_count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(text)))
    # Few sizes: each is a program of its own.
    padded = np.zeros(1 << int(sizes.max() - 1).bit_length(), np.uint8)
    padded[: len(text)] = text
    texts = multihost_utils.process_allgather(padded)
    return [
        json.loads(row[:size].tobytes()) for row, size in zip(texts, sizes.tolist(), strict=True)
    ]


def from_first_process(compute: Callable[[], T]) -> T:
    """What the first process computes, a JSON value; the others wait for it and compute nothing."""
    if jax.process_count() == 1:
        return compute()
    value = compute() if is_first_process() else None
    wait_for_all("the first process computes")  # a collective must not wait for so long
    return gather(value)[0]


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
    """Lets the first process do the block before the others, which then find it done.

    That is where they share a disk; where each has one of its own, each does the work.
    """
    wait = functools.partial(wait_for_all, "the first process goes first")
    if not is_first_process():
        wait()
    try:
        yield
    finally:
        if is_first_process():
            wait()
