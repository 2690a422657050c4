"""What is told of one start of a training run: scalars, speed, where its time goes, a trace.

WORKDIR/metrics/      scalars (see `writer`)
WORKDIR/compiles/     what was compiled from the first step on (see `compiles`)
WORKDIR/goodput/      where the time went (see `goodput`)
WORKDIR/profile/      a trace of chosen steps (see `profile`)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

from etils import epath

from jaxllm.observe.compiles import compiles_recorded
from jaxllm.observe.goodput import Goodput, TimeLedger
from jaxllm.observe.meter import Meter
from jaxllm.observe.profile import StepProfile
from jaxllm.observe.sinks import ObserveSettings, make_sinks
from jaxllm.observe.view import RunView
from jaxllm.observe.writer import Writer


class Observer:
    """Tells of the steps of one start; use it in a `with`.

    Args:
        workdir: of the run.
        settings, config: who else is told, and the config that is shown there.
        began: `time.time()` when this start began.
        step, tokens: where it goes on from.
        flops, peak: as `Meter` takes them.
        profile_steps: the steps of which a trace is left.
        tells: false for a process that measures and leaves nothing, as another one does.
    """

    def __init__(
        self,
        workdir: epath.PathLike,
        settings: ObserveSettings,
        config: Mapping[str, Any],
        *,
        began: float,
        step: int,
        tokens: float,
        flops: Callable[[range], float],
        peak: float,
        profile_steps: range = range(0),
        tells: bool = True,
    ) -> None:
        self._workdir, self._tells, self._step = workdir, tells, step
        self._writer = Writer(workdir, make_sinks(settings, workdir, config) if tells else ())
        self._ledger = TimeLedger(workdir, first_step=step, began=began, writes=tells)
        self._meter = Meter(self._ledger, flops=flops, peak=peak, step=step, tokens=tokens)
        self._stack = contextlib.ExitStack()
        self.profile = StepProfile(workdir, profile_steps if tells else range(0))
        self.view = RunView(str(workdir))

    def lost(self, cause: str) -> contextlib.AbstractContextManager[None]:
        """The time in this block does not go into steps."""
        return self._ledger.lost(cause)

    def speed(self, step: int, tokens: float, waited: float) -> dict[str, float]:
        """What `Meter.read` returns."""
        self._step = step
        return self._meter.read(step, tokens, waited)

    def scalars(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Tells of a step's values."""
        if self._tells:
            self._writer.scalars(step, values)
            self.view.update({name: float(value) for name, value in values.items()})

    @property
    def goodput(self) -> Goodput:
        """Of all starts so far."""
        return self._ledger.goodput(self._step)

    def __enter__(self) -> Observer:
        if self._tells:
            tell = compiles_recorded(self._workdir, lambda s: self._ledger.add("compile", s))
            self._stack.enter_context(tell)
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stack, contextlib.closing(self._writer), contextlib.closing(self.profile):
            self._ledger.close(self._step)
