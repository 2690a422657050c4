"""One config on one topology: counted, compiled, and told to another process."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxllm.planning.compiled import Compiled
from jaxllm.planning.estimate import Work
from jaxllm.planning.memory import Memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The programs of the engine, beside a train state; bytes are those of one device.

    Attributes:
      rows: that are decoded together, over all devices.
      cache: keys and values of these rows and of what their prompts share.
      second_copy: the layers' weights once more, as the other of the two programs reads them.
      programs: compiled, by name.
    """

    rows: int
    cache: int
    second_copy: int
    programs: dict[str, Compiled]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What a config needs on a topology.

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

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Trial:
        """The inverse of `to_json`, through JSON."""
        step, evaluation = fields["step"], fields["evaluation"]
        if evaluation is not None:
            programs = {
                name: Compiled.from_json(one) for name, one in evaluation["programs"].items()
            }
            evaluation = Evaluation(**{**evaluation, "programs": programs})
        return cls(
            **{
                **fields,
                "memory": Memory(**fields["memory"]),
                "work": Work(**fields["work"]),
                "step": None if step is None else Compiled.from_json(step),
                "evaluation": evaluation,
            }
        )
