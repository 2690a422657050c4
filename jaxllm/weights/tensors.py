"""Named tensors on disk, and how a model's weights are put together from them, shard by shard.

A source (a safetensors folder or a GGUF file) shows Hugging Face names, shapes and dtypes at once
and reads numbers only when asked, one tensor at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import ml_dtypes
import numpy as np

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params
from jaxllm.weights.names import Row, check_complete, table

_FLOATS = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float64": np.dtype(np.float64),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """Shape and numpy dtype of a tensor that was not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype


class TensorSource(Protocol):
    """Named tensors under their Hugging Face names."""

    where: str  # the folder or file, for messages
    tensors: Mapping[str, TensorInfo]

    def read(self, name: str) -> np.ndarray:
        """The tensor; a memory-mapped view where the source has one."""
        ...


def assemble_params(
    source: TensorSource,
    config: ModelConfig,
    shardings: Any | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """The parameter tree of `config` from `source`, each device's share read on its own.

    `shardings` is a tree like the parameters'; without it everything goes to the first device.
    With `dtype` None every weight keeps the dtype of the file. Host memory holds one tensor of
    the source beside the shards this host keeps.

    Raises:
        UserError: tensors are missing, unexpected or misshapen, layers of one weight differ in
            dtype, or a tied head differs from the embedding.
    """
    check_source(source, config)
    single = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    params: dict[str, Any] = {}
    for row in table(config):
        shape = leaf(abstract_params(config), row.path).shape
        sharding = single if shardings is None else leaf(shardings, row.path)
        array = _assemble(source, row, shape, sharding, _dtype_of(source, row, shape, dtype))
        node = params
        for key in row.path[:-1]:
            node = node.setdefault(key, {})
        node[row.path[-1]] = array
    return params


def check_source(source: TensorSource, config: ModelConfig) -> None:
    """Check, before anything large is read, that `source` holds exactly the model `config`.

    Raises:
        UserError: it does not; the message lists the first differences.
    """
    found = {name: info.shape for name, info in source.tensors.items()}
    check_complete(config, expected_shapes(config), found, where=source.where)
    if config.tie_embeddings and "lm_head.weight" in found:
        embedding = next(row for row in table(config) if row.path == ("embed", "tokens")).name
        if not np.array_equal(source.read("lm_head.weight"), source.read(embedding)):
            raise UserError(
                f"{source.where}: config.json ties the embeddings, but lm_head.weight differs "
                f'from {embedding}; write "tie_word_embeddings": false into config.json'
            )


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every Hugging Face tensor of the model, in file order."""
    tree = abstract_params(config)
    return {
        name: row.file_shape(leaf(tree, row.path).shape)
        for row in table(config)
        for name in row.names(config.num_layers)
    }


def leaf(tree: Any, path: tuple[str, ...]) -> Any:
    """The node of a nested dict at `path`."""
    for key in path:
        tree = tree[key]
    return tree


def float_dtype(name: str) -> np.dtype:
    """The numpy dtype called `name` (`float32`, `bfloat16`, `float16`, `float64`).

    Raises:
        UserError: it is none of them.
    """
    if name not in _FLOATS:
        raise UserError(f"dtype {name!r} is unknown; use one of {', '.join(_FLOATS)}")
    return _FLOATS[name]


def _dtype_of(
    source: TensorSource, row: Row, shape: tuple[int, ...], dtype: str | None
) -> np.dtype:
    if dtype is not None:
        return float_dtype(dtype)
    names = row.names(shape[0])
    first = source.tensors[names[0]].dtype
    for name in names:
        if source.tensors[name].dtype != first:
            raise UserError(
                f"{source.where}: {name} is {source.tensors[name].dtype} where {names[0]} is "
                f"{first}; layers stacked into one array need one dtype: give param_dtype, "
                "float32 for instance"
            )
    return first


def _assemble(
    source: TensorSource, row: Row, shape: tuple[int, ...], sharding: Any, dtype: np.dtype
) -> jax.Array:
    names = row.names(shape[0])
    read: dict[tuple[tuple[int, int], ...], np.ndarray] = {}

    def shard(index: tuple[slice, ...] | None) -> np.ndarray:
        assert index is not None
        # Devices that hold copies of one shard ask for it one after the other.
        bounds = tuple(s.indices(size)[:2] for s, size in zip(index, shape, strict=True))
        if bounds not in read:
            read[bounds] = _read_shard(source, row, names, bounds, shape, dtype)
        return read[bounds]

    return jax.make_array_from_callback(shape, sharding, shard, dtype=dtype)


def _read_shard(
    source: TensorSource,
    row: Row,
    names: list[str],
    bounds: tuple[tuple[int, int], ...],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> np.ndarray:
    out = np.empty([stop - start for start, stop in bounds], dtype)
    inner = tuple(slice(*bound) for bound in (bounds[1:] if row.stacked else bounds))
    layers = range(*bounds[0]) if row.stacked else range(1)
    for i, layer in enumerate(layers):
        tensor = source.read(names[layer])
        ours = tensor.T if row.transposed else tensor
        if row.num_parts > 1:
            size = shape[-1]
            ours = ours[..., row.part * size : (row.part + 1) * size]
        target = out[i] if row.stacked else out
        target[...] = ours[inner]
    return out
