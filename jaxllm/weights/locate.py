"""What a source of weights is: everything about a model but the weights themselves."""

from __future__ import annotations

import dataclasses
import os
import re

from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.text.ids_only import IdsOnly
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
from jaxllm.text.tokenizer_settings import read_settings
from jaxllm.weights import peft_folder
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.gguf_file import GgufFile
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.model_files import has_model_files, read_base, read_model_files
from jaxllm.weights.safetensors_folder import SafetensorsFolder, read_config
from jaxllm.weights.source_files import SourceFiles, read_source_files
from jaxllm.weights.tensors import TensorSource

_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "merges.txt"]
CHECKPOINTS = "checkpoints"  # in a workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Located:
    """A model of which all but the weights was read: these lie in `tensors` or `checkpoints`.

    Checkpoints with a `base` hold adapters of it.
    """

    config: ModelConfig
    tokenizer: Tokenizer
    name: str
    source: str
    files: SourceFiles
    revision: str | None = None
    tensors: TensorSource | None = None
    checkpoints: epath.Path | None = None
    step: int | None = None
    base: BaseModel | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocatedPeft:
    """A PEFT adapter; what else there is to know, its base model says."""

    adapter: peft_folder.PeftFolder
    tokenizer: Tokenizer | None
    name: str
    source: str
    revision: str | None = None


def locate(source: str | epath.PathLike, revision: str | None = None) -> Located | LocatedPeft:
    """Find out what `source` is, as `load_model` takes it.

    Raises:
        UserError: there is no model there, or one that this program cannot compute faithfully.
    """
    path = epath.Path(source)
    if not path.exists():
        return _open_hub(os.fspath(source), revision)
    if path.is_file():
        if path.suffix != ".gguf":
            raise UserError(f"{path} is no model: give its folder, or a .gguf file")
        return _open_gguf(path)
    if (path / peft_folder.CONFIG).exists():
        return _open_peft(path)
    for checkpoints, step, workdir in _checkpoint_places(path):
        if has_model_files(checkpoints):
            return _open_checkpoint(path, checkpoints, step, workdir)
    if (path / "config.json").exists():
        return _open_hf(path)
    raise UserError(
        f"{path} holds no model: looked for config.json with safetensors, adapter_config.json, "
        "and checkpoints of a run"
    )


def _checkpoint_places(path: epath.Path) -> list[tuple[epath.Path, int | None, epath.Path]]:
    """(checkpoints, step, workdir) if `path` is a workdir, its checkpoints, or one step."""
    places: list[tuple[epath.Path, int | None, epath.Path]] = [
        (path / CHECKPOINTS, None, path),
        (path, None, path.parent if path.name == CHECKPOINTS else path),
    ]
    if path.name.isdigit():
        above = path.parent
        places.append((above, int(path.name), above.parent if above.name == CHECKPOINTS else above))
    return places


def _open_checkpoint(
    path: epath.Path, checkpoints: epath.Path, step: int | None, workdir: epath.Path
) -> Located:
    config, tokenizer, files = read_model_files(checkpoints)
    if tokenizer is None:
        raise UserError(f"{checkpoints} was saved without a tokenizer; jaxllm needs one to load it")
    return Located(
        config=config,
        tokenizer=tokenizer,
        name=workdir.name,
        source=os.fspath(path),
        files=files,
        checkpoints=checkpoints,
        step=step,
        base=read_base(checkpoints),
    )


def _open_hf(folder: epath.Path) -> Located:
    config = config_from_hf(read_config(folder)[0])
    tensors = SafetensorsFolder(folder)
    if (folder / "tokenizer.json").exists() or any(folder.glob("*.model")):
        tokenizer = load_tokenizer(folder)
        files = read_source_files(folder, tokenizer)
    else:
        settings = read_settings(folder)
        tokenizer = IdsOnly(name=folder.name, vocab_size=config.vocab_size, settings=settings)
        files = read_source_files(folder, None)
    return Located(
        config=config,
        tokenizer=tokenizer,
        name=folder.name,
        source=os.fspath(folder),
        files=files,
        tensors=tensors,
    )


def _open_gguf(path: epath.Path) -> Located:
    file = GgufFile(path)
    # A tokenizer beside the file is there because the one inside could not be used.
    outside = _has_tokenizer(path.parent)
    tokenizer = load_tokenizer(path.parent) if outside else file.tokenizer()
    return Located(
        config=file.config,
        tokenizer=tokenizer,
        name=path.stem,
        source=os.fspath(path),
        files=SourceFiles(files={}),
        tensors=file,
    )


def _open_peft(folder: epath.Path) -> LocatedPeft:
    return LocatedPeft(
        adapter=peft_folder.PeftFolder(folder),
        # A tokenizer saved with the adapter is the one it was trained with.
        tokenizer=load_tokenizer(folder) if _has_tokenizer(folder) else None,
        name=folder.name,
        source=os.fspath(folder),
    )


def _open_hub(name: str, revision: str | None) -> Located | LocatedPeft:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"there is no {name}, and it is no hub id (owner/name) either")
    # Imported here: most runs load from disk, and the client takes its time.
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=_HUB_FILES
        )
    except (OSError, ValueError) as error:  # all of the client's errors are one of these
        at = "" if revision is None else f" at revision {revision}"
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}{at} is neither a folder here nor to be had from the Hugging Face hub "
            f"({first}). Give the folder of a downloaded copy, or log in with "
            "`huggingface-cli login` if the model is gated"
        ) from error
    path = epath.Path(folder)
    opened = _open_peft(path) if (path / peft_folder.CONFIG).exists() else _open_hf(path)
    # The snapshot's folder is named for the commit that `revision` stands for.
    return dataclasses.replace(opened, name=name, source=name, revision=path.name)


def _has_tokenizer(folder: epath.Path) -> bool:
    return any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model"))
