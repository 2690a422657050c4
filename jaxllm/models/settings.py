"""From `config.model` to the architecture of a model with fresh weights."""

from __future__ import annotations

import dataclasses
import difflib

from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig, RopeScaling
from jaxllm.models.zoo import get_config

NUMERICS = ("dtype", "param_dtype", "attention", "remat", "scan_unroll")
_TUNING = ("lora", "kernels")


def model_config_from_settings(settings: ConfigDict, *, vocab_size: int) -> ModelConfig:
    """The architecture `settings` names: a zoo entry, changed or given whole by `architecture`.

    `vocab_size` (the tokenizer's) is used where `architecture` has none and there is no zoo entry.

    Raises:
        UserError: an unknown or missing field, or sizes that do not go together.
    """
    fields = {field.name: field for field in dataclasses.fields(ModelConfig)}
    changes = dict(settings.architecture)
    for name in changes:
        if name not in fields or name in NUMERICS + _TUNING:
            near = difflib.get_close_matches(name, fields, n=1) or ["hidden_size"]
            raise UserError(
                f"config.model.architecture.{name} is no field of a model; did you mean {near[0]}?"
            )
    numerics = {name: settings[name] for name in NUMERICS}
    try:
        if changes.get("rope_scaling"):
            changes["rope_scaling"] = RopeScaling(**dict(changes["rope_scaling"]))
        if settings.zoo:
            return get_config(settings.zoo, **changes, **numerics)
        return ModelConfig(**{"vocab_size": vocab_size} | changes | numerics)
    except TypeError as error:  # a field that is missing, or unknown to rope_scaling
        raise UserError(f"config.model.architecture: {error}") from error
