"""An xprof trace of a few steps: `jaxllm train --profile_steps=10:13`.

The trace lies in WORKDIR/profile; `tensorboard --logdir=WORKDIR/profile` with the package xprof
shows it, and so does ui.perfetto.dev its `*.trace.json.gz`.
"""

from __future__ import annotations

import os
import re

import jax
from etils import epath

from jaxllm.errors import UserError


def parse_steps(text: str) -> range:
    """`10:13` as the steps 10, 11 and 12; nothing for an empty text. Raises UserError."""
    if not text:
        return range(0)
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None or not 0 < int(found[1]) < int(found[2]):
        raise UserError(f"--profile_steps={text}: write FIRST:STOP, such as 10:13 for 10, 11, 12")
    return range(int(found[1]), int(found[2]))


class StepProfile:
    """Traces the steps of a range; steps count from 1, as they are logged."""

    def __init__(self, workdir: epath.PathLike, steps: range) -> None:
        self._folder = os.fspath(epath.Path(workdir) / "profile")
        self._steps = steps
        self._is_on = False

    def before(self, step: int) -> None:
        """Called before a step is begun."""
        if step in self._steps and not self._is_on:
            jax.profiler.start_trace(self._folder)
            self._is_on = True

    def after(self, step: int, result: object) -> None:
        """Called with what a step returned; the last step of a trace is waited for."""
        if self._is_on and step + 1 not in self._steps:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Ends a trace that goes on."""
        if self._is_on:
            self._is_on = False
            jax.profiler.stop_trace()
            print(f"profile: steps {self._steps[0]} to {self._steps[-1]} in {self._folder}")
