"""What lies beside the steps of a checkpoint folder, so that weights load without their config.

CHECKPOINTS/model/model.json      the ModelConfig
CHECKPOINTS/model/...             tokenizer, and the Hugging Face files the model came with
CHECKPOINTS/STEP/params, rest, extra
"""

from __future__ import annotations

import dataclasses
import json

from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig, RopeScaling
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
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
) -> None:
    """Write `CHECKPOINTS/model`, unless it already says the same."""
    manifest = {
        "schema": _SCHEMA,
        "config": dataclasses.asdict(config),
        "tokenizer_digest": None if tokenizer is None else tokenizer.digest,
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
    manifest = json.loads((folder / _MANIFEST).read_text())
    if manifest.get("schema") != _SCHEMA:
        raise UserError(
            f"{folder / _MANIFEST} has schema {manifest.get('schema')!r}, this version reads "
            f"{_SCHEMA!r}; load it with the version that wrote it"
        )
    fields = dict(manifest["config"])
    if fields["rope_scaling"] is not None:
        fields["rope_scaling"] = RopeScaling(**fields["rope_scaling"])
    tokenizer = None if manifest["tokenizer_digest"] is None else load_tokenizer(folder)
    return ModelConfig(**fields), tokenizer, read_source_files(folder, tokenizer)
