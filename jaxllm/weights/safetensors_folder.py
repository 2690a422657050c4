"""A Hugging Face model folder: config.json and safetensors, read and written as streams."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.hf_config import config_from_hf, config_text
from jaxllm.weights.names import Row, table
from jaxllm.weights.safetensors_file import SafetensorsFile, write_safetensors
from jaxllm.weights.source_files import SourceFiles, write_source_files
from jaxllm.weights.tensors import TensorInfo, assemble_params, expected_shapes, leaf
from jaxllm.weights.whole_folder import whole_folder

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class SafetensorsFolder:
    """The tensors of a folder's safetensors files, under their Hugging Face names.

    With an index, the files it names are read; otherwise `model.safetensors`.

    Raises:
        UserError: there are no safetensors, or a file the index names is missing or cut short.
    """

    def __init__(self, folder: str | epath.PathLike) -> None:
        path = epath.Path(folder)
        self.where = str(path)
        files = [SafetensorsFile(file) for file in _weight_files(path)]
        self._file_of = {name: file for file in files for name in file.tensors}
        # GPT-2 files saved from the bare model lack the prefix that the language model's have.
        bare = "wte.weight" in self._file_of
        self._stored = {f"transformer.{n}" if bare else n: n for n in self._file_of}
        self.tensors: Mapping[str, TensorInfo] = {
            name: self._file_of[stored].tensors[stored] for name, stored in self._stored.items()
        }

    def read(self, name: str) -> np.ndarray:
        """The tensor, as a view of the memory map where the file is local."""
        stored = self._stored[name]
        return self._file_of[stored].read(stored)


def read_config(folder: str | epath.PathLike) -> tuple[dict[str, Any], str]:
    """The folder's `config.json`: parsed, and its text.

    Raises:
        UserError: it is absent or no JSON object.
    """
    path = epath.Path(folder) / "config.json"
    if not path.exists():
        raise UserError(f"{folder} has no config.json; give a Hugging Face model folder")
    text = path.read_text()
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path} holds a {type(fields).__name__}, not a JSON object")
    return fields, text


def read_params(
    folder: str | epath.PathLike,
    config: ModelConfig | None = None,
    shardings: Any | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """The parameter tree of a Hugging Face folder; see `assemble_params`."""
    config = config_from_hf(read_config(folder)[0]) if config is None else config
    return assemble_params(SafetensorsFolder(folder), config, shardings, dtype)


def write_hf_folder(
    folder: str | epath.PathLike,
    params: Mapping[str, Any],
    config: ModelConfig,
    tokenizer: Tokenizer | None = None,
    *,
    shard_bytes: int = 5_000_000_000,
    source_files: SourceFiles | None = None,
    overwrite: bool = False,
) -> None:
    """Write a folder that transformers, vLLM and `load_model` read.

    One tensor at a time leaves the devices, so the model is never in host memory twice. The
    folder appears whole or not at all. `source_files` are what the model came with: its
    config.json is kept where it still describes the model, its tokenizer files where they are
    those of `tokenizer`. On several processes all take part and the first one writes.

    Raises:
        UserError: the folder is not empty (without `overwrite`), or no Hugging Face architecture
            computes `config`.
    """
    infos = _planned(params, config)
    files = _split(infos, shard_bytes)
    dtype = str(leaf(params, ("embed", "tokens")).dtype)
    text = config_text(
        config,
        dtype=dtype,
        source=None if source_files is None else source_files.config_json,
        token_ids=_token_ids(tokenizer),
    )
    readers = _readers(params, config)
    with whole_folder(folder, overwrite=overwrite) as target:
        if target is not None:
            write_source_files(target, tokenizer, source_files)
            (target / "config.json").write_text(text)
            if len(files) > 1:
                (target / INDEX).write_text(_index_text(files, infos))
        for name, tensors in files.items():
            if target is None:
                for tensor in tensors:
                    readers[tensor]()  # the first process needs our shards of it
                continue
            with (target / name).open("wb") as file:
                write_safetensors(file, tensors, lambda tensor: readers[tensor]())


def _weight_files(folder: epath.Path) -> list[epath.Path]:
    index = folder / INDEX
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    elif (folder / SINGLE).exists():
        names = [SINGLE]
    else:
        names = [path.name for path in folder.glob("*.safetensors")]
        if len(names) != 1:
            other = sorted(path.name for path in folder.glob("*.bin")) + sorted(names)
            raise UserError(
                f"{folder} has neither {SINGLE} nor {INDEX}"
                + (f" (it has {', '.join(other)})" if other else "")
                + "; save the model with safe_serialization=True"
            )
    for name in names:
        if not (folder / name).exists():
            raise UserError(f"{folder}: {name}, which {INDEX} names, is missing; fetch it again")
    return [folder / name for name in names]


def _planned(params: Mapping[str, Any], config: ModelConfig) -> dict[str, TensorInfo]:
    dtypes = {
        name: np.dtype(leaf(params, row.path).dtype)
        for row in table(config)
        for name in row.names(config.num_layers)
    }
    shapes = expected_shapes(config)
    names = sorted(shapes, key=_layer_order)
    return {name: TensorInfo(shape=shapes[name], dtype=dtypes[name]) for name in names}


def _layer_order(name: str) -> tuple[int, int]:
    # Embeddings, then layer after layer, then the final norm and the head.
    layer = next((int(part) for part in name.split(".") if part.isdigit()), None)
    if layer is not None:
        return 1, layer
    return (0, 0) if any(part in name for part in ("embed", "wte", "wpe")) else (2, 0)


def _split(tensors: Mapping[str, TensorInfo], limit: int) -> dict[str, dict[str, TensorInfo]]:
    shards: list[dict[str, TensorInfo]] = [{}]
    size = 0
    for name, info in tensors.items():
        nbytes = math.prod(info.shape) * info.dtype.itemsize
        if shards[-1] and size + nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = info
        size += nbytes
    if len(shards) == 1:
        return {SINGLE: shards[0]}
    return {
        f"model-{i:05d}-of-{len(shards):05d}.safetensors": shard
        for i, shard in enumerate(shards, start=1)
    }


def _index_text(
    files: Mapping[str, Mapping[str, TensorInfo]], tensors: Mapping[str, TensorInfo]
) -> str:
    total = sum(math.prod(info.shape) * info.dtype.itemsize for info in tensors.values())
    weight_map = {tensor: name for name, shard in files.items() for tensor in shard}
    return json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2)


def _readers(params: Mapping[str, Any], config: ModelConfig) -> dict[str, Callable[[], np.ndarray]]:
    parts: dict[str, list[tuple[Row, int]]] = {}
    for row in table(config):
        for layer, name in enumerate(row.names(config.num_layers)):
            parts.setdefault(name, []).append((row, layer))

    def read(name: str) -> np.ndarray:
        arrays = []
        for row, layer in sorted(parts[name], key=lambda part: part[0].part):
            array = _fetch(leaf(params, row.path), layer if row.stacked else None)
            arrays.append(array.T if row.transposed else array)
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)

    return {name: functools.partial(read, name) for name in parts}


def _fetch(array: Any, layer: int | None) -> np.ndarray:
    """One layer of a (possibly sharded) array on this host; a collective on several processes."""
    if isinstance(array, np.ndarray):
        return array if layer is None else array[layer]
    if not array.is_fully_addressable:
        whole = jax.sharding.NamedSharding(array.sharding.mesh, jax.sharding.PartitionSpec())
        take = jax.jit(_take, static_argnums=1, out_shardings=whole)
        return np.asarray(take(array, layer is not None, layer or 0).addressable_data(0))
    return np.asarray(array if layer is None else _take(array, True, layer))


def _take(array: jax.Array, stacked: bool, layer: jax.Array | int) -> jax.Array:
    return (
        jax.lax.dynamic_index_in_dim(array, layer, keepdims=False)
        if stacked
        else jnp.asarray(array)
    )


def _token_ids(tokenizer: Tokenizer | None) -> dict[str, int | None]:
    if tokenizer is None:
        return {}
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }
