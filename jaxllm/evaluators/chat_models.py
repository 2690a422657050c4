"""A model that answers messages, from a group of settings: local weights, an endpoint, a script."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from jax.sharding import Mesh

from jaxllm.chat import ChatModel
from jaxllm.chat.endpoint import Endpoint, EndpointSettings
from jaxllm.chat.local import LocalChat
from jaxllm.chat.scripted import ScriptedChat
from jaxllm.decode import Engine
from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.fingerprint import model_fingerprint
from jaxllm.weights.load import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """Weights that `load_model` finds, asked through a prompt template."""

    model: str
    template: str = "chat"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("a local model needs its place: model='runs/judge'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptSettings:
    """A file of rules (see `jaxllm.chat.scripted`)."""

    script: str


_TYPES: dict[str, type[Any]] = {
    "api": EndpointSettings,
    "local": LocalSettings,
    "scripted": ScriptSettings,
}


def read_chat_group(group: Mapping[str, Any]) -> Any:
    """The settings of a group `{type: ..., ...}`; fields of other types that are empty are let be.

    Raises:
        UserError: an unknown type or field, or one that is missing.
    """
    own = dict(group)
    kind = own.pop("type", "")
    if kind not in _TYPES:
        raise UserError(f"type={kind!r} is no kind of model; choose from {', '.join(_TYPES)}")
    fields = {field.name: field for field in dataclasses.fields(_TYPES[kind])}
    foreign = {
        field.name: field.default
        for other in _TYPES.values()
        for field in dataclasses.fields(other)
        if field.name not in fields
    }
    for name in list(own):
        if name in foreign and own[name] in ("", foreign[name]):
            del own[name]
        elif name not in fields:
            near = difflib.get_close_matches(name, fields, n=1) or list(fields)
            raise UserError(f"{name} is no setting of type {kind!r}; did you mean {near[0]!r}?")
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in own:
            raise UserError(f"type {kind!r} needs {name}")
    return _TYPES[kind](**own)


def open_chat_model(settings: Any, *, mesh: Mesh | None) -> ChatModel:
    """The model of settings that `read_chat_group` gave; raises what opening it raises."""
    if isinstance(settings, EndpointSettings):
        return Endpoint(settings)
    if isinstance(settings, ScriptSettings):
        return ScriptedChat(settings.script)
    loaded = load_model(settings.model, dtype=settings.dtype, mesh=mesh)
    return local_chat(
        loaded.params,
        loaded.config,
        loaded.tokenizer,
        name=loaded.name,
        source=loaded.source,
        template=settings.template,
        mesh=mesh,
    )


def local_chat(
    params: Params,
    config: ModelConfig,
    tokenizer: Tokenizer,
    *,
    name: str,
    source: str,
    template: str,
    mesh: Mesh | None,
) -> LocalChat:
    """Weights at hand as a model that answers messages."""
    weights = weights_digest(params)
    return LocalChat(
        Engine(params, config, tokenizer, mesh=mesh),
        name=name,
        identity=model_fingerprint(weights, config, tokenizer),
        provenance={"source": source, "weights_digest": weights, "dtype": config.dtype},
        template=template,
    )
