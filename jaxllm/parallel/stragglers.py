"""Which process holds the others up.

A step ends for all at once, so its time says nothing. Two things do: what a process does between
steps while its devices wait, and how long its devices take for work of their own.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxllm.parallel.agreement import gather

_PROBE_SECONDS = 0.1
_TIMES_SLOWER = 1.5
# Of a step's time: less than that is not worth a word.
_SHARE_OF_STEP = 0.1


class StragglerWatch:
    """Compares the processes from time to time; `check` is called by all, after the same steps."""

    def __init__(self) -> None:
        self._host_seconds, self._steps = 0.0, 0
        self._since = time.monotonic()

    def add(self, host_seconds: float) -> None:
        """One more step, between which and the one before the host was busy for so long."""
        self._host_seconds += host_seconds
        self._steps += 1

    def check(self) -> list[str]:
        """A line for each process that is slow, the same in all of them, since the last check."""
        if jax.process_count() == 1 or not self._steps:
            return []
        step_seconds = (time.monotonic() - self._since) / self._steps
        said = gather(
            [
                socket.gethostname(),
                step_seconds,
                self._host_seconds / self._steps,
                _seconds_of_own_work(),
            ]
        )
        self._host_seconds, self._steps, self._since = 0.0, 0, time.monotonic()
        hosts, steps, between, own = zip(*said, strict=True)
        step = statistics.median(steps)
        lines = [
            f"process {number} ({hosts[number]}) is slow: its devices take {own[number] * 1e3:.3g} "
            f"ms for what takes the others {_rest(own, number) * 1e3:.3g} ms"
            for number in slower(own, at_least=0.0)
        ]
        lines += [
            f"process {number} ({hosts[number]}) is slow: it is busy for {between[number]:.2g} s "
            f"between steps of {step:.2g} s, the others for {_rest(between, number):.2g} s"
            for number in slower(between, at_least=_SHARE_OF_STEP * step)
        ]
        return lines


def slower(seconds: Sequence[float], *, at_least: float) -> list[int]:
    """Which take far longer than the median of the others, and longer by `at_least` seconds."""
    return [
        number
        for number, mine in enumerate(seconds)
        if mine > _TIMES_SLOWER * _rest(seconds, number)
        and mine - _rest(seconds, number) > at_least
    ]


def _rest(seconds: Sequence[float], number: int) -> float:
    return statistics.median([*seconds[:number], *seconds[number + 1 :]])


def _seconds_of_own_work() -> float:
    """Mean seconds for a product of matrices on each device of this process, all at once."""
    size, dtype = (256, jnp.float32) if jax.default_backend() == "cpu" else (4096, jnp.bfloat16)
    # In a run the mesh of all processes is set, and this is work for the devices of one.
    own = Mesh(np.array(jax.local_devices()), ("device",))
    with jax.set_mesh(own):
        ones = np.ones((len(own.devices), size, size), dtype)
        matrices = jax.device_put(ones, NamedSharding(own, PartitionSpec("device")))
        jax.block_until_ready(_product(matrices))
        count, start = 0, time.monotonic()
        while time.monotonic() - start < _PROBE_SECONDS:
            jax.block_until_ready(_product(matrices))
            count += 1
    return (time.monotonic() - start) / count


@jax.jit
def _product(matrices: jax.Array) -> jax.Array:
    return matrices @ matrices
