"""The least time of a step: every resource at its published peak, all of them at once.

No program reaches it. It compares meshes, and says which resource holds a step back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxllm.planning.collectives import Collective
from jaxllm.planning.topology import Topology


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What a step computes and moves.

    Attributes:
      tokens: positions of all rows, padding included.
      flops: necessary operations, of all devices (see `jaxllm.observe.flops`).
      recomputed_flops: operations that are done again to save memory.
      device_bytes: that one device reads and writes at least.
    """

    tokens: int
    flops: float
    recomputed_flops: float
    device_bytes: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of a step by resource, and what follows from the slowest.

    Attributes:
      compute_s: arithmetic, recomputation included.
      memory_s: reading and writing of a device's memory.
      ici_s: sending within a slice, over all links.
      dcn_s: sending between slices.
    """

    compute_s: float
    memory_s: float
    ici_s: float
    dcn_s: float
    tokens_per_s_per_chip: float

    @property
    def step_s(self) -> float:
        """All at once, so as long as the slowest."""
        return max(self.compute_s, self.memory_s, self.ici_s, self.dcn_s)

    @property
    def bound_by(self) -> str:
        """The slowest resource."""
        seconds = {
            "arithmetic": self.compute_s,
            "memory": self.memory_s,
            "network in the slice": self.ici_s,
            "network between slices": self.dcn_s,
        }
        return max(seconds, key=lambda name: seconds[name])


def estimate_step(work: Work, collectives: Sequence[Collective], topology: Topology) -> Estimate:
    """The least time of a step on `topology`."""
    chip = topology.chip
    slow = sum(one.slow_bytes for one in collectives)
    fast = sum(one.bytes for one in collectives) - slow
    seconds = {
        "compute_s": (work.flops + work.recomputed_flops)
        / (topology.chips * chip.bf16_tflop_s * 1e12),
        "memory_s": work.device_bytes * chip.devices / (chip.hbm_gb_s * 1e9),
        "ici_s": fast * chip.devices / (chip.ici_gb_s * 1e9),
        "dcn_s": slow * chip.devices / (chip.dcn_gb_s * 1e9),
    }
    rate = work.tokens / topology.chips / max(seconds.values())
    return Estimate(**seconds, tokens_per_s_per_chip=rate)


def run_hours(
    work: Work, least: Estimate, topology: Topology, *, num_steps: int, mfu: float
) -> float:
    """Hours of all steps, where arithmetic runs at the share `mfu` of the peak, or at the least."""
    peak = topology.chips * topology.chip.bf16_tflop_s * 1e12
    return num_steps * max(least.step_s, work.flops / (mfu * peak)) / 3600
