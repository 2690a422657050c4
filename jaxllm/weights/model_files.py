"""What lies beside the steps of a checkpoint folder, so that weights load without their config.

CHECKPOINTS/model/model.json      the ModelConfig
CHECKPOINTS/model/...             tokenizer, and the Hugging Face files the model came with
CHECKPOINTS/STEP/params, rest, extra
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import LoraConfig, ModelConfig, RopeScaling
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.source_files import (
    CONFIG,
    SourceFiles,
    read_source_files,
    write_source_files,
)
from jaxllm.weights.whole_folder import whole_folder

_FOLDER = "model"
_MANIFEST = "model.json"
_SCHEMA = "jaxllm.model/1"


def write_model_files(
    checkpoints: epath.Path,
    config: ModelConfig,
    tokenizer: Tokenizer | None,
    source: SourceFiles | None,
    base: BaseModel | None = None,
) -> None:
    """Write `CHECKPOINTS/model`, unless it already says the same; `base` is that of an adapter."""
    manifest = {
        "schema": _SCHEMA,
        "config": dataclasses.asdict(config),
        "tokenizer_digest": None if tokenizer is None else tokenizer.digest,
        "base": None if base is None else dataclasses.asdict(base),
    }
    text = json.dumps(manifest, indent=2) + "\n"
    present = checkpoints / _FOLDER / _MANIFEST
    if present.exists() and present.read_text() == text:
        return
    with whole_folder(checkpoints / _FOLDER, overwrite=True) as folder:
        if folder is None:
            return
        write_source_files(folder, tokenizer, source)
        if source is not None and source.config_json is not None:
            (folder / CONFIG).write_bytes(source.files[CONFIG])
        (folder / _MANIFEST).write_text(text)


def has_model_files(checkpoints: epath.Path) -> bool:
    """Whether `checkpoints` is a folder that `write_model_files` wrote to."""
    return (checkpoints / _FOLDER / _MANIFEST).exists()


def read_model_files(
    checkpoints: epath.Path,
) -> tuple[ModelConfig, Tokenizer | None, SourceFiles]:
    """The config, tokenizer and Hugging Face files beside the steps of `checkpoints`.

    Raises:
        UserError: the manifest is of another version.
    """
    folder = checkpoints / _FOLDER
    manifest = _manifest(checkpoints)
    tokenizer = None if manifest["tokenizer_digest"] is None else load_tokenizer(folder)
    return _config(manifest), tokenizer, read_source_files(folder, tokenizer)


def read_base(checkpoints: epath.Path) -> BaseModel | None:
    """What the adapters of `checkpoints` were trained on; None where these are whole models."""
    base = _manifest(checkpoints).get("base")
    return None if base is None else BaseModel(**base)


def check_same_kind(checkpoints: epath.Path, config: ModelConfig, base: BaseModel | None) -> None:
    """Check that checkpoints of a run may follow those that are there.

    Raises:
        UserError: one side has whole models and the other adapters, or adapters of another kind or
            of another base.
    """
    saved, before = read_base(checkpoints), _config(_manifest(checkpoints))
    if base is None and saved is None:
        return
    anew = "set it back, or give the run a workdir of its own"
    if base is None or saved is None:
        kinds = ("adapters", "whole models") if base is None else ("whole models", "adapters")
        raise UserError(
            f"{checkpoints} holds {kinds[0]} and this run trains {kinds[1]} (config.lora.rank): "
            f"{anew}"
        )
    saved.check(base.digest, adapter=str(checkpoints), given=base.source)
    if before.kernels != config.kernels:
        raise UserError(
            f"the adapters in {checkpoints} were trained on a base in {before.kernels}, "
            f"config.lora.base is now {config.kernels}: {anew}"
        )
    assert before.lora is not None
    assert config.lora is not None
    for name in ("rank", "alpha", "targets", "rslora"):
        there, here = getattr(before.lora, name), getattr(config.lora, name)
        if there != here:
            raise UserError(
                f"{checkpoints} holds adapters with {name}={there}, config.lora.{name} now gives "
                f"{here}: {anew}"
            )


def _manifest(checkpoints: epath.Path) -> dict[str, Any]:
    path = checkpoints / _FOLDER / _MANIFEST
    manifest = json.loads(path.read_text())
    if manifest.get("schema") != _SCHEMA:
        raise UserError(
            f"{path} has schema {manifest.get('schema')!r}, this version reads "
            f"{_SCHEMA!r}; load it with the version that wrote it"
        )
    return manifest


def _config(manifest: dict[str, Any]) -> ModelConfig:
    fields = dict(manifest["config"])
    if fields["rope_scaling"] is not None:
        fields["rope_scaling"] = RopeScaling(**fields["rope_scaling"])
    if fields.get("lora") is not None:
        lora = fields["lora"]
        fields["lora"] = LoraConfig(**{**lora, "targets": tuple(lora["targets"])})
    return ModelConfig(**fields)
