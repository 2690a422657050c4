"""What every evaluator needs to know about the model it is given."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from jax.sharding import Mesh

from jaxllm.chat.endpoint import Endpoint
from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.objectives.reference import Reference
from jaxllm.parallel.preemption import Preemption
from jaxllm.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EvalContext:
    """The model's architecture and provenance; its weights come with each call.

    Attributes:
      name, source, revision: what the model is called, where it came from, at which revision.
      config: the resolved config of the run, written into every result.
      endpoint: where the model is asked if it runs elsewhere. It has no `model_config` then, and
        `tokenizer` is a `Characters`.
      reference: what a run on preferences measures its model against; it can be asked while
        evaluators are made.
      preemption: asked between answers; when it is due, evaluators raise `Preempted`.
    """

    model_config: ModelConfig | None
    tokenizer: Tokenizer
    mesh: Mesh | None
    data_dir: str | os.PathLike[str]
    name: str
    source: str
    revision: str | None = None
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    endpoint: Endpoint | None = None
    reference: Reference | None = None
    preemption: Preemption = dataclasses.field(default_factory=Preemption)

    @property
    def architecture(self) -> ModelConfig:
        """The model's architecture; raises UserError for one that runs elsewhere."""
        if self.model_config is None:
            raise UserError(f"{self.name} is asked at an endpoint: its weights are not here")
        return self.model_config
