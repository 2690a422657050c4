"""`load_model`: one function for every kind of weights a model may come as."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import jax
from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params, logical_axes, num_params
from jaxllm.models.lora import is_adapter, merge_into
from jaxllm.models.partition import partition
from jaxllm.parallel.rules import shardings
from jaxllm.text.ids_only import IdsOnly
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.checkpoint import restore_params
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.locate import CHECKPOINTS, Located, LocatedPeft, locate
from jaxllm.weights.source_files import SourceFiles
from jaxllm.weights.tensors import assemble_params, float_dtype


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
    found = locate(source, revision)
    if isinstance(found, LocatedPeft):
        return _load_peft(found, dtype, param_dtype, mesh, needs_tokenizer)
    config = found.config
    if needs_tokenizer and isinstance(found.tokenizer, IdsOnly):
        raise UserError(
            f"{found.source} has no tokenizer: looked for tokenizer.json, tokenizer.model and one "
            "*.model; put the model's own beside its config.json"
        )
    _check_vocabulary(found.tokenizer, config, found.source)
    if found.tensors is not None:
        layout = jax.tree.map(lambda leaf: leaf.sharding, _placed(config, mesh))
        params = assemble_params(found.tensors, config, layout, param_dtype)
        commit = found.revision
    elif found.base is not None:
        params, step = _merged(found, found.base, mesh, param_dtype)
        config, commit = config.replace(lora=None, kernels="float"), f"step {step}"
    else:
        target = _placed(config, mesh)
        params, step = restore_params(found.checkpoints, found.step, target, param_dtype)
        commit = f"step {step}"
    stored = str(params["embed"]["tokens"].dtype)
    return Model(
        config=config.replace(dtype=dtype, param_dtype=stored),
        params=params,
        tokenizer=found.tokenizer,
        name=found.name,
        source=found.source,
        revision=commit,
        num_params=num_params(config),
        source_files=found.files,
    )


def lasting_source(model: Model) -> tuple[str, str | None]:
    """What this very model is found by from any folder and in the future: source and revision."""
    path = epath.Path(model.source)
    if not path.exists():
        return model.source, model.revision
    word, _, step = (model.revision or "").partition(" ")
    if word == "step" and path.name != step:
        path = (path / CHECKPOINTS if (path / CHECKPOINTS).exists() else path) / step
    return os.fspath(path.resolve()), None


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
    found = locate(source)
    if isinstance(found, LocatedPeft) or found.base is None:
        raise UserError(
            f"{found.source} holds no adapters of a run: give the workdir of one with config.lora"
        )
    params, _ = _restored_adapters(found, None)
    return TrainedAdapter(
        config=found.config,
        params=params,
        tokenizer=found.tokenizer,
        base=found.base,
        source_files=found.files,
    )


def _merged(
    found: Located, base: BaseModel, mesh: jax.sharding.Mesh | None, param_dtype: str | None
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
        raise UserError(f"{found.source} adapts a model that cannot be loaded: {error}") from error
    base.check(weights_digest(model.params), adapter=found.source, given=base.source)
    adapters, step = _restored_adapters(found, mesh)
    assert found.config.lora is not None
    merge_into(model.params, adapters, found.config.lora)
    dtype = param_dtype or base.param_dtype
    return jax.tree.map(lambda leaf: leaf.astype(dtype), model.params), step


def _restored_adapters(
    found: Located, mesh: jax.sharding.Mesh | None
) -> tuple[dict[str, Any], int]:
    target, _ = partition(_placed(found.config, mesh), is_adapter)
    return restore_params(found.checkpoints, found.step, target)


def _load_peft(
    found: LocatedPeft,
    dtype: str,
    param_dtype: str | None,
    mesh: jax.sharding.Mesh | None,
    needs_tokenizer: bool,
) -> Model:
    base = load_model(
        found.adapter.base,
        dtype=dtype,
        param_dtype=param_dtype,
        mesh=mesh,
        revision=found.adapter.revision,
        needs_tokenizer=needs_tokenizer and found.tokenizer is None,
    )
    lora, adapters = found.adapter.read(base.config, base.params)
    target, _ = partition(_placed(base.config.replace(lora=lora), mesh), is_adapter)
    layout = jax.tree.map(lambda leaf: leaf.sharding, target)
    merge_into(base.params, jax.device_put(adapters, layout), lora)
    tokenizer = found.tokenizer or base.tokenizer
    _check_vocabulary(tokenizer, base.config, found.source)
    return dataclasses.replace(
        base,
        tokenizer=tokenizer,
        name=found.name,
        source=found.source,
        revision=found.revision,
    )


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


def _check_vocabulary(tokenizer: Tokenizer, config: ModelConfig, source: str) -> None:
    # More rows than ids is ordinary padding; fewer would read past the embedding.
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{source}: the tokenizer makes {tokenizer.vocab_size} ids, but the embedding has "
            f"only {config.vocab_size} rows; this tokenizer belongs to another model"
        )
