"""One config on one topology: counted, compiled, and told to another process."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxllm.planning.compiled import Compiled
from jaxllm.planning.estimate import Work
from jaxllm.planning.memory import Memory
from jaxllm.planning.topology import Topology


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The programs of the engine; bytes are those of one device.

    Attributes:
      beside: what stays where it is meanwhile and is not read: a train state, or weights as they
        were loaded.
      rows: that are decoded together, over all devices.
      cache: keys and values of these rows and of what their prompts share.
      second_copy: the layers' weights once more, as the other of the two programs reads them.
      programs: compiled, by name.
    """

    beside: int
    rows: int
    cache: int
    second_copy: int
    programs: dict[str, Compiled]

    @property
    def peak(self) -> int:
        """What is there at the worst moment."""
        return self.beside + self.second_copy + max(one.peak for one in self.programs.values())

    def fits(self, topology: Topology) -> bool:
        """Whether a device has room for that."""
        chip = topology.chip
        is_compiled = all(program.fits for program in self.programs.values())
        return is_compiled and self.peak * chip.devices <= chip.hbm_gib * 2**30

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Evaluation:
        """The inverse of `dataclasses.asdict`, through JSON."""
        programs = {name: Compiled.from_json(one) for name, one in fields["programs"].items()}
        return cls(**{**fields, "programs": programs})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What a config of `jaxllm train` needs on a topology.

    Attributes:
      mesh: devices along each axis.
      num_params: of the model, adapters included.
      rows: of a micro-batch on one device.
      attention: the kernel that computes it.
      memory: counted by us.
      step: compiled; None where counting was enough.
      evaluation: where evaluators decode, and it was asked for.
      num_steps: of the run, if they are known.
    """

    mesh: dict[str, int]
    num_params: int
    rows: int
    attention: str
    memory: Memory
    work: Work
    step: Compiled | None
    evaluation: Evaluation | None
    num_steps: int | None

    @property
    def counted(self) -> int:
        """Bytes of a device, without a compiler."""
        return self.memory.total

    @property
    def peak(self) -> int:
        """Bytes of a device at the worst moment; uncompiled, what lies there between steps."""
        step = self.memory.state if self.step is None else self.step.peak
        return step if self.evaluation is None else max(step, self.evaluation.peak)

    def fits(self, topology: Topology) -> bool:
        """Whether training does, and evaluation beside it."""
        decodes = self.evaluation is None or self.evaluation.fits(topology)
        return self.step is not None and self.step.fits and decodes

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Trial:
        """The inverse of `to_json`, through JSON."""
        step, evaluation = fields["step"], fields["evaluation"]
        return cls(
            **{
                **fields,
                "memory": Memory(**fields["memory"]),
                "work": Work(**fields["work"]),
                "step": None if step is None else Compiled.from_json(step),
                "evaluation": None if evaluation is None else Evaluation.from_json(evaluation),
            }
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeTrial:
    """What a config of `jaxllm evaluate` needs on a topology.

    Attributes:
      mesh: devices along each axis.
      num_params: of the model.
      attention: the kernel that computes it.
      counted: bytes of a device for all that is made of weights.
      evaluation: None where counting was enough.
    """

    mesh: dict[str, int]
    num_params: int
    attention: str
    counted: int
    evaluation: Evaluation | None

    @property
    def peak(self) -> int:
        """Bytes of a device at the worst moment; uncompiled, those of weights."""
        return self.counted if self.evaluation is None else self.evaluation.peak

    def fits(self, topology: Topology) -> bool:
        """Whether the engine's programs do, with a row at least."""
        return self.evaluation is not None and self.evaluation.fits(topology)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> DecodeTrial:
        """The inverse of `dataclasses.asdict`, through JSON."""
        evaluation = fields["evaluation"]
        found = None if evaluation is None else Evaluation.from_json(evaluation)
        return cls(**{**fields, "evaluation": found})
