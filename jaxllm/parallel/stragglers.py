"""Which process holds the others up.

A step ends for all at once, so its time says nothing. Two things do: what a process does between
steps while its devices wait, and how long its devices take for work of their own.

Both jump about on a machine with other work. So a process is called slow when it was far slower
than the median of the others in each of the last three checks: a moment's load, or one that
wanders from process to process, is not a straggler.
"""

from __future__ import annotations

import collections
import socket
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxllm.parallel.agreement import gather

_PROBE_SECONDS = 0.1
_TIMES_SLOWER = 1.5
_CHECKS = 3
# Between steps, less than this share of one, or than this time, is not worth a word.
_SHARE_OF_STEP, _LEAST_BETWEEN_SECONDS = 0.1, 0.01
# What it takes to start a product; one that is longer by less says nothing about a device.
_LEAST_OWN_SECONDS = 1e-4


class Check(NamedTuple):
    """Seconds of every process, in their order.

    Attributes:
      step: of one step.
      between: that the host was busy between two steps.
      own: that the devices took for the same piece of work.
    """

    step: Sequence[float]
    between: Sequence[float]
    own: Sequence[float]


class StragglerWatch:
    """Compares the processes from time to time; `check` is called by all, after the same steps."""

    def __init__(self) -> None:
        self._host_seconds, self._steps = 0.0, 0
        self._since = time.monotonic()
        self._checks: collections.deque[Check] = collections.deque(maxlen=_CHECKS)

    def add(self, host_seconds: float) -> None:
        """One more step, between which and the one before the host was busy for so long."""
        self._host_seconds += host_seconds
        self._steps += 1

    def check(self) -> list[str]:
        """A line for each process that is slow, the same in all of them."""
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
        hosts, *seconds = zip(*said, strict=True)
        self._checks.append(Check(*seconds))
        return describe_slow(hosts, list(self._checks))


def describe_slow(hosts: Sequence[str], checks: Sequence[Check]) -> list[str]:
    """A line for each process that was slow in all of the last three checks, with its median."""
    if len(checks) < _CHECKS:
        return []
    checks = checks[-_CHECKS:]
    step = statistics.median(one for check in checks for one in check.step)
    between, own = ([check.between for check in checks], [check.own for check in checks])
    worth_saying = max(_SHARE_OF_STEP * step, _LEAST_BETWEEN_SECONDS)
    lines = []
    for number in _always_slower(own, at_least=_LEAST_OWN_SECONDS):
        mine, others = _medians(own, number)
        lines.append(
            f"process {number} ({hosts[number]}) is slow: its devices take {mine * 1e3:.3g} ms for "
            f"what takes the others {others * 1e3:.3g} ms"
        )
    for number in _always_slower(between, at_least=worth_saying):
        mine, others = _medians(between, number)
        lines.append(
            f"process {number} ({hosts[number]}) is slow: it is busy for {mine:.2g} s between "
            f"steps of {step:.2g} s, the others for {others:.2g} s"
        )
    return lines


def slower(seconds: Sequence[float], *, at_least: float) -> list[int]:
    """Which take far longer than the median of the others, and longer by `at_least` seconds."""
    return [
        number
        for number, mine in enumerate(seconds)
        if mine > _TIMES_SLOWER * _rest(seconds, number)
        and mine - _rest(seconds, number) > at_least
    ]


def _always_slower(checks: Sequence[Sequence[float]], *, at_least: float) -> list[int]:
    found = [slower(seconds, at_least=at_least) for seconds in checks]
    return [number for number in found[0] if all(number in others for others in found[1:])]


def _medians(checks: Sequence[Sequence[float]], number: int) -> tuple[float, float]:
    """Seconds of a process and of the others, over the checks."""
    return (
        statistics.median(seconds[number] for seconds in checks),
        statistics.median(_rest(seconds, number) for seconds in checks),
    )


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
