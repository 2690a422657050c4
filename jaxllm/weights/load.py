"""`load_model`: one function for every kind of weights a model may come as."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any

import jax
from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params, logical_axes, num_params
from jaxllm.models.lora import is_adapter, merged
from jaxllm.models.partition import combine, partition
from jaxllm.parallel.rules import shardings
from jaxllm.text.ids_only import IdsOnly
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
from jaxllm.text.tokenizer_settings import read_settings
from jaxllm.weights import adapter
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.checkpoint import restore_params
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.gguf_file import GgufFile
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.model_files import has_model_files, read_base, read_model_files
from jaxllm.weights.safetensors_folder import SafetensorsFolder, read_config
from jaxllm.weights.source_files import SourceFiles, read_source_files
from jaxllm.weights.tensors import TensorSource, assemble_params, float_dtype

_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "merges.txt"]
CHECKPOINTS = "checkpoints"  # in a workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A model and where it came from.

    `params` is the nested dict of `jaxllm.models.decoder`. `revision` is the resolved commit of a
    hub model or the step of a checkpoint. `source_files` are the small files that came with the
    weights, for writing them back unchanged.
    """

    config: ModelConfig
    params: dict[str, Any]
    tokenizer: Tokenizer
    name: str
    source: str
    revision: str | None
    num_params: int
    source_files: SourceFiles


def load_model(
    source: str | epath.PathLike,
    *,
    dtype: str = "float32",
    param_dtype: str | None = None,
    mesh: jax.sharding.Mesh | None = None,
    revision: str | None = None,
    needs_tokenizer: bool = True,
) -> Model:
    """Load a model; adapters are merged into their base model.

    Args:
        source: a Hugging Face folder, a hub id (`llm-jp/llm-jp-3-1.8b`), a `.gguf` file, a PEFT
            LoRA folder, or a run: its workdir, its `checkpoints` folder, or one step of it.
        dtype: what it computes in.
        param_dtype: what the weights are kept in; None keeps the dtype they are stored in.
        mesh: where the weights go, sharded by the rules; None means the first device.
        revision: branch, tag or commit of a hub id.
        needs_tokenizer: False takes a model without one too, for work on ids alone; an `IdsOnly`
            then stands in its place.

    Raises:
        UserError: there is no model there, one without a tokenizer, or one that this program
            cannot compute faithfully.
    """
    for name in (dtype, param_dtype):
        if name is not None:
            float_dtype(name)
    opened = _open(source, revision)
    config = opened.config
    if needs_tokenizer and isinstance(opened.tokenizer, IdsOnly):
        raise UserError(
            f"{opened.source} has no tokenizer: looked for tokenizer.json, tokenizer.model and one "
            "*.model; put the model's own beside its config.json"
        )
    _check_vocabulary(opened.tokenizer, config, opened.source)
    if opened.tensors is not None:
        layout = jax.tree.map(lambda leaf: leaf.sharding, _placed(config, mesh))
        params = assemble_params(opened.tensors, config, layout, param_dtype)
        commit = opened.revision
    elif opened.base is not None:
        params, step = _merged(opened, opened.base, mesh, param_dtype)
        config, commit = config.replace(lora=None, kernels="float"), f"step {step}"
    else:
        target = _placed(config, mesh)
        params, step = restore_params(opened.checkpoints, opened.step, target, param_dtype)
        commit = f"step {step}"
    stored = str(params["embed"]["tokens"].dtype)
    return Model(
        config=config.replace(dtype=dtype, param_dtype=stored),
        params=params,
        tokenizer=opened.tokenizer,
        name=opened.name,
        source=opened.source,
        revision=commit,
        num_params=num_params(config),
        source_files=opened.files,
    )


def lasting_source(model: Model) -> str:
    """What `load_model` finds this very model by, from any folder and after later checkpoints."""
    path = epath.Path(model.source)
    if not path.exists():
        return model.source
    word, _, step = (model.revision or "").partition(" ")
    if word == "step" and path.name != step:
        path = (path / CHECKPOINTS if (path / CHECKPOINTS).exists() else path) / step
    return os.fspath(path.resolve())


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedAdapter:
    """The adapters of a run, without the model they stand on.

    `params` are the leaves of `jaxllm.models.lora`, `config` is the base model's with `lora` set.
    """

    config: ModelConfig
    params: dict[str, Any]
    tokenizer: Tokenizer
    base: BaseModel
    source_files: SourceFiles


def load_adapter(source: str | epath.PathLike) -> TrainedAdapter:
    """The adapters in a run of ours: its workdir, its `checkpoints` folder, or one step of it.

    Raises:
        UserError: there is no such run, or it trained whole models.
    """
    opened = _open(source, None)
    if opened.base is None:
        raise UserError(
            f"{opened.source} holds no adapters of a run: give the workdir of one with config.lora"
        )
    params, _ = _restored_adapters(opened, None)
    return TrainedAdapter(
        config=opened.config,
        params=params,
        tokenizer=opened.tokenizer,
        base=opened.base,
        source_files=opened.files,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Opened:
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


def _merged(
    opened: _Opened, base: BaseModel, mesh: jax.sharding.Mesh | None, param_dtype: str | None
) -> tuple[dict[str, Any], int]:
    """The weights of the base model with the adapters of a checkpoint, and its step."""
    try:
        model = load_model(
            base.source,
            param_dtype=base.param_dtype,
            mesh=mesh,
            revision=base.revision,
            needs_tokenizer=False,
        )
    except UserError as error:
        raise UserError(f"{opened.source} adapts a model that cannot be loaded: {error}") from error
    base.check(weights_digest(model.params), adapter=opened.source, given=base.source)
    adapters, step = _restored_adapters(opened, mesh)
    assert opened.config.lora is not None
    params = merged(combine(adapters, model.params), opened.config.lora)
    dtype = param_dtype or base.param_dtype
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params), step


def _restored_adapters(
    opened: _Opened, mesh: jax.sharding.Mesh | None
) -> tuple[dict[str, Any], int]:
    target, _ = partition(_placed(opened.config, mesh), is_adapter)
    return restore_params(opened.checkpoints, opened.step, target)


def _open(source: str | epath.PathLike, revision: str | None) -> _Opened:
    path = epath.Path(source)
    if not path.exists():
        return _open_hub(os.fspath(source), revision)
    if path.is_file():
        if path.suffix != ".gguf":
            raise UserError(f"{path} is no model: give its folder, or a .gguf file")
        return _open_gguf(path)
    if (path / adapter.CONFIG).exists():
        return _open_adapter(path)
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
) -> _Opened:
    config, tokenizer, files = read_model_files(checkpoints)
    if tokenizer is None:
        raise UserError(f"{checkpoints} was saved without a tokenizer; jaxllm needs one to load it")
    return _Opened(
        config=config,
        tokenizer=tokenizer,
        name=workdir.name,
        source=os.fspath(path),
        files=files,
        checkpoints=checkpoints,
        step=step,
        base=read_base(checkpoints),
    )


def _open_hf(folder: epath.Path) -> _Opened:
    config = config_from_hf(read_config(folder)[0])
    tensors = SafetensorsFolder(folder)
    if (folder / "tokenizer.json").exists() or any(folder.glob("*.model")):
        tokenizer = load_tokenizer(folder)
        files = read_source_files(folder, tokenizer)
    else:
        settings = read_settings(folder)
        tokenizer = IdsOnly(name=folder.name, vocab_size=config.vocab_size, settings=settings)
        files = read_source_files(folder, None)
    return _Opened(
        config=config,
        tokenizer=tokenizer,
        name=folder.name,
        source=os.fspath(folder),
        files=files,
        tensors=tensors,
    )


def _open_gguf(path: epath.Path) -> _Opened:
    file = GgufFile(path)
    # A tokenizer beside the file is there because the one inside could not be used.
    outside = _has_tokenizer(path.parent)
    tokenizer = load_tokenizer(path.parent) if outside else file.tokenizer()
    return _Opened(
        config=file.config,
        tokenizer=tokenizer,
        name=path.stem,
        source=os.fspath(path),
        files=SourceFiles(files={}),
        tensors=file,
    )


def _open_adapter(folder: epath.Path) -> _Opened:
    lora = adapter.Adapter(folder)
    base = _open(lora.base, lora.revision)
    if base.tensors is None:
        raise UserError(
            f"{folder}: the base model {lora.base} is a jaxllm checkpoint; adapters of PEFT's are "
            "merged into Hugging Face or GGUF models (jaxllm convert --to=hf makes one)"
        )
    return dataclasses.replace(
        base,
        # A tokenizer saved with the adapter is the one it was trained with.
        tokenizer=load_tokenizer(folder) if _has_tokenizer(folder) else base.tokenizer,
        name=folder.name,
        source=os.fspath(folder),
        tensors=adapter.MergedSource(base.tensors, lora, conv1d=base.config.positions == "learned"),
    )


def _open_hub(name: str, revision: str | None) -> _Opened:
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
    opened = _open_adapter(path) if (path / adapter.CONFIG).exists() else _open_hf(path)
    # The snapshot's folder is named for the commit that `revision` stands for.
    return dataclasses.replace(opened, name=name, source=name, revision=path.name)


def _placed(config: ModelConfig, mesh: jax.sharding.Mesh | None) -> Any:
    """The parameter tree as `jax.ShapeDtypeStruct`s with shardings."""
    params = abstract_params(config)
    if mesh is not None:
        layout = shardings(mesh, logical_axes(config), params)
    else:
        first = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        layout = jax.tree.map(lambda _: first, params)
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        params,
        layout,
    )


def _has_tokenizer(folder: epath.Path) -> bool:
    return any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model"))


def _check_vocabulary(tokenizer: Tokenizer, config: ModelConfig, source: str) -> None:
    # More rows than ids is ordinary padding; fewer would read past the embedding.
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{source}: the tokenizer makes {tokenizer.vocab_size} ids, but the embedding has "
            f"only {config.vocab_size} rows; this tokenizer belongs to another model"
        )
