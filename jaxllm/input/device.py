"""Put batches on the devices while the step before them still computes.

Legend: A micro-batches of a step, B rows of a micro-batch, T row length; A * B rows of a step.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxllm.errors import UserError
from jaxllm.input.batches import make_batch
from jaxllm.input.plan import Plan
from jaxllm.input.tokens import TokenizedSource

_AHEAD = 2
_POLL_SECONDS = 0.1


def prefetch(
    plan: Plan,
    tokenized: Sequence[TokenizedSource],
    start_step: int,
    num_steps: int,
    sharding: jax.sharding.Sharding,
    accumulation: int = 1,
) -> Prefetch:
    """Returns an iterator over (step, batch) that works two steps ahead in a thread.

    Args:
      plan, tokenized: as `make_batch` takes them.
      start_step: the first step.
      num_steps: how many steps.
      sharding: of an array [A, B, T].
      accumulation: A. Row r of the step is row r // A of micro-batch r % A, so that what a
        process holds of every micro-batch is one stretch of the plan's rows.

    Returns:
      An iterator whose batches are dicts of global `jax.Array` [A, B, T], of which each process
      builds its own part only. Close it, or use it in a `with`, to end the thread early.

    Raises:
      UserError: accumulation does not divide the rows of a step, or the steps are not in the plan.
    """
    if plan.rows_per_step % accumulation:
        raise UserError(
            f"accumulation {accumulation} does not divide the {plan.rows_per_step} rows of a step; "
            "change accumulation or rows_per_step"
        )
    if start_step < 0 or start_step + num_steps > plan.num_steps:
        raise UserError(
            f"steps {start_step} to {start_step + num_steps} are not in a plan of "
            f"{plan.num_steps} steps; raise num_steps"
        )
    steps = range(start_step, start_step + num_steps)
    return Prefetch(plan, tokenized, steps, sharding, accumulation)


class Prefetch(Iterator[tuple[int, dict[str, jax.Array]]]):
    """What `prefetch` returns.

    Attributes:
      wait_seconds: how long the consumer has waited for batches so far.
    """

    def __init__(
        self,
        plan: Plan,
        tokenized: Sequence[TokenizedSource],
        steps: range,
        sharding: jax.sharding.Sharding,
        accumulation: int,
    ) -> None:
        self.wait_seconds = 0.0
        self._plan = plan
        self._tokenized = tokenized
        self._steps = steps
        self._sharding = sharding
        self._accumulation = accumulation
        self._queue: queue.Queue = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="prefetch", daemon=True)
        self._thread.start()

    def __next__(self) -> tuple[int, dict[str, jax.Array]]:
        if self._stop.is_set():
            raise StopIteration
        began = time.monotonic()
        item = self._queue.get()
        self.wait_seconds += time.monotonic() - began
        if item is None:
            self.close()
            raise StopIteration
        if isinstance(item, BaseException):
            self.close()
            raise item
        return item

    def close(self) -> None:
        """Ends the thread; the iterator is then at its end. May be called again."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _produce(self) -> None:
        try:
            for step in self._steps:
                if not self._put((step, self._batch(step))):
                    return
            self._put(None)
        except BaseException as error:  # the consumer raises it
            self._put(error)

    def _put(self, item: object) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def _batch(self, step: int) -> dict[str, jax.Array]:
        num_micro = self._accumulation
        shape = (
            num_micro,
            self._plan.rows_per_step // num_micro,
            self._plan.row_length,
        )
        mine = process_rows(self._sharding, shape)
        rows = slice(int(mine[0]) * num_micro, (int(mine[-1]) + 1) * num_micro)
        local = make_batch(self._plan, step, self._tokenized, rows)
        return {name: self._global(array, shape, mine) for name, array in local.items()}

    def _global(
        self, array: np.ndarray, shape: tuple[int, int, int], mine: np.ndarray
    ) -> jax.Array:
        num_micro, _, row_length = shape
        local_ABT = array.reshape(-1, num_micro, row_length).swapaxes(0, 1)[:, mine - mine[0]]
        return jax.make_array_from_process_local_data(self._sharding, local_ABT, shape)


def process_rows(sharding: jax.sharding.Sharding, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns which of the B rows of an array [A, B, T] this process's devices hold, ascending."""
    parts = sharding.addressable_devices_indices_map(shape).values()
    rows = [np.arange(shape[1])[index[1]] for index in parts if index is not None]
    return np.unique(np.concatenate(rows))
