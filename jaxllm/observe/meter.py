"""How fast a run trains: what is logged beside a step's own metrics."""

from __future__ import annotations

import time
from collections.abc import Callable

from jaxllm.observe.goodput import TimeLedger
from jaxllm.observe.memory import device_memory_mb, rss_mb

# What a reading may hold: the figures that another run of the same steps has otherwise.
MEASURED = (
    "step_s",
    "tokens_per_second",
    "mfu",
    "input_wait",
    "goodput",
    "rss_mb",
    "device_memory_mb",
)


class Meter:
    """Speed of the steps between two readings, without evaluations, checkpoints and compiling.

    Args:
        ledger: where the time of this start goes.
        flops: operations that steps `range(first, stop)` of the plan need, forward and backward.
        peak: what the devices could do, in operations a second.
        step, tokens: where this start goes on from.
    """

    def __init__(
        self,
        ledger: TimeLedger,
        *,
        flops: Callable[[range], float],
        peak: float,
        step: int,
        tokens: float,
    ) -> None:
        self._ledger, self._flops, self._peak = ledger, flops, peak
        self._step, self._tokens, self._waited = step, tokens, 0.0
        self._clock, self._lost = time.monotonic(), ledger.lost_seconds

    def read(self, step: int, tokens: float, waited: float) -> dict[str, float]:
        """The figures since the last reading.

        Args:
            step: the last that is done.
            tokens: of the whole run so far.
            waited: seconds in which no batch was ready, since this start began.

        Returns:
            `step_s` seconds a step, `tokens_per_second`, `mfu` the operations that the mathematics
            needs over what the devices could have done, `input_wait` the share of time without a
            batch, `goodput` of the run so far, `rss_mb`, and where it is told `device_memory_mb`.
        """
        now, lost = time.monotonic(), self._ledger.lost_seconds
        seconds = max(now - self._clock - (lost - self._lost), 1e-9)
        wait = waited - self._waited
        values = {
            "step_s": seconds / max(1, step - self._step),
            "tokens_per_second": (tokens - self._tokens) / seconds,
            "mfu": self._flops(range(self._step, step)) / seconds / self._peak,
            "input_wait": min(1.0, wait / seconds),
        }
        self._ledger.add("input wait", wait)
        self._ledger.row(step)
        self._step, self._tokens, self._waited = step, tokens, waited
        self._clock, self._lost = now, self._ledger.lost_seconds
        values |= {"goodput": self._ledger.goodput(step).share, "rss_mb": rss_mb()}
        on_device = device_memory_mb()
        return values if on_device is None else values | {"device_memory_mb": on_device}
