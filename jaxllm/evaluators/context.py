"""What every evaluator needs to know about the model it is given."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from jax.sharding import Mesh

from jaxllm.models.config import ModelConfig
from jaxllm.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EvalContext:
    """The model's architecture and provenance; its weights come with each call.

    Attributes:
      name, source, revision: what the model is called, where it came from, at which revision.
      config: the resolved config of the run, written into every result.
    """

    model_config: ModelConfig
    tokenizer: Tokenizer
    mesh: Mesh | None
    data_dir: str | os.PathLike[str]
    name: str
    source: str
    revision: str | None = None
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
