"""What a compiler says of a program: the memory it takes, what it sends, the kernels it holds."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any

import jax
from jax.sharding import Mesh

from jaxllm.planning.collectives import Collective, find_collectives

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = r"([\d.]+)([KMGT]?)"
_LARGEST_SHOWN = 5
# How XLA:TPU calls a program written in Pallas.
_TPU_KERNEL = "tpu_custom_call"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled program, in bytes of one device.

    Attributes:
      fits: whether the compiler found room for it.
      peak: at the worst moment; without `fits` what the compiler says it would take.
      arguments: state, frozen weights and batch.
      temporaries: what stands beside them at that moment.
      limit: what the compiler may use of the memory; it says so only where that is too little.
      largest: where it does not fit, the largest temporaries.
      kernels: calls of kernels written for this kind of device.
      seconds: that compiling took.
    """

    fits: bool
    peak: int
    arguments: int
    temporaries: int
    limit: int | None = None
    largest: tuple[str, ...] = ()
    collectives: tuple[Collective, ...] = ()
    kernels: int = 0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Compiled:
        """The inverse of `dataclasses.asdict`, through JSON."""
        collectives = tuple(
            Collective(**{**one, "axes": tuple(one["axes"])}) for one in fields["collectives"]
        )
        largest = tuple(fields["largest"])
        return cls(**{**fields, "collectives": collectives, "largest": largest})


def compile_program(lowered: Any, mesh: Mesh, num_slices: int = 1) -> Compiled:
    """Compiles what `jax.jit(f).lower(...)` gave for `mesh`."""
    started = time.monotonic()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return read_out_of_memory(str(error), seconds=time.monotonic() - started)
    seconds = time.monotonic() - started
    stats, hlo = compiled.memory_analysis(), compiled.as_text()
    return Compiled(
        fits=True,
        peak=stats.peak_memory_in_bytes,
        arguments=stats.argument_size_in_bytes,
        temporaries=stats.peak_memory_in_bytes - stats.argument_size_in_bytes,
        collectives=tuple(find_collectives(hlo, mesh.shape, num_slices)),
        kernels=hlo.count(f'custom_call_target="{_TPU_KERNEL}"'),
        seconds=round(seconds, 1),
    )


def read_out_of_memory(message: str, *, seconds: float = 0.0) -> Compiled:
    """What XLA:TPU says of a program that is too large."""
    used = re.search(rf"Used {_SIZE} of {_SIZE} hbm", message) or re.search(
        rf"required for HLO temporaries \({_SIZE}\) exceeds available HBM \({_SIZE}\)", message
    )
    parts = {
        name: _number(*found)
        for name, *found in re.findall(rf"^\s+(program|arguments)\s+{_SIZE}", message, re.MULTILINE)
    }
    entries = re.findall(
        rf"^\s*\d+\. Size: {_SIZE}\n(?:\s+Operator: op_name=\"([^\"]*)\".*\n)?\s+Shape: (\S+)",
        message,
        re.MULTILINE,
    )
    largest = [
        f"{number}{unit} {shape.split('{')[0]} {operator.rsplit('/', 1)[-1]}".strip()
        for number, unit, operator, shape in entries
    ]
    total = parts.get("arguments", 0) + parts.get("program", 0)
    return Compiled(
        fits=False,
        peak=max(total, _number(*used.groups()[:2]) if used else 0),
        arguments=parts.get("arguments", 0),
        temporaries=parts.get("program", 0),
        limit=_number(*used.groups()[2:]) if used else None,
        largest=tuple(dict.fromkeys(largest))[:_LARGEST_SHOWN],
        seconds=round(seconds, 1),
    )


def _number(digits: str, unit: str) -> int:
    return int(float(digits) * _UNITS[unit])
