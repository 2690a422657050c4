"""What all runs of an engine share: weights, sizes, placement on the mesh, and what was counted."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jax.sharding import Mesh

from jaxllm.decode.layout import cache_layout, slots_layout
from jaxllm.decode.packed import KeyValues, PackedRows, run_prefix
from jaxllm.decode.sampling import SamplingState
from jaxllm.decode.schedule import PackedPlan, size_bucket
from jaxllm.decode.slots import Slots, empty_cache, empty_slots
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.parallel.agreement import gather
from jaxllm.parallel.placement import fetch, place
from jaxllm.parallel.rules import sharding

# Shares of the free memory that rows may take. On the host other programs want some of it, and the
# keys of prefills that wait for a row stand beside them.
_HOST_SHARE, _DEVICE_SHARE = 0.25, 0.6

# Two CPU cores multiply more rows than that no faster a row, and fewer are less idle at the end.
_ROWS = {"cpu": 64}

# An accelerator waits while the host looks at what is done and refills rows; those that end between
# two looks are idle for a few steps.
_MIN_STEPS = {"cpu": 1}

# XLA:CPU computes most of attention on one core at a time, and decode steps wait for memory: beside
# each other they took a tenth less time on two cores than in turn. An accelerator runs them in turn
# anyway, and over a mesh programs must start in the same order everywhere.
_PREFILL_THREADS = {"cpu": 2}

# A row of a packed prefill holds at most one item for so many of its tokens.
_TOKENS_PER_ITEM = 16


@dataclasses.dataclass(kw_only=True)
class Stats:
    """Counts since the engine was made: what was computed, and how much of it was wanted.

    Positions are those of prefills, padding included; row steps are decode steps times rows.
    """

    prompt_tokens: int = 0
    prefix_tokens: int = 0
    own_tokens: int = 0
    prefill_positions: int = 0
    decode_steps: int = 0
    row_steps: int = 0
    live_row_steps: int = 0

    @property
    def prefill_padding(self) -> float:
        """Share of prefilled positions that held no token."""
        real = self.prefix_tokens + self.own_tokens
        return 1 - real / self.prefill_positions if self.prefill_positions else 0.0

    @property
    def idle_slot_share(self) -> float:
        """Share of row steps in which the row had nothing to decode."""
        return 1 - self.live_row_steps / self.row_steps if self.row_steps else 0.0


def _cast(params: Params, dtype: str) -> Params:
    """The weights in `dtype`; the very same arrays, not copies, where they are that already."""
    leaves = jax.tree.leaves(params)
    if all(leaf.dtype == dtype or not _is_float(leaf) for leaf in leaves):
        return params
    return _as_dtype(params, dtype)


@functools.partial(jax.jit, static_argnames=("dtype",))
def _as_dtype(params: Params, dtype: str) -> Params:
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if _is_float(leaf) else leaf, params)


def _is_float(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


@functools.partial(jax.jit, static_argnames=("num_layers",))
def _unstacked(blocks: Params, num_layers: int) -> list[Params]:
    """The same weights as a list of layers.

    A step over few tokens is as fast as its weights are read: no time to copy them out of a stack.
    """
    return [jax.tree.map(lambda leaf, i=i: leaf[i], blocks) for i in range(num_layers)]


def _share_of_memory() -> int:
    """Bytes that rows may take on this process's devices, from what is free after the weights."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if any(stat is None or "bytes_limit" not in stat for stat in stats):
        return int(_HOST_SHARE * psutil.virtual_memory().available)
    free = (stat["bytes_limit"] - stat["bytes_in_use"] for stat in stats)
    return int(_DEVICE_SHARE * min(free) * len(stats))


class Runtime:
    """Weights in the layout of decoding, and sizes chosen for this device.

    Args:
        cache_bytes: room for the keys and values of the rows that are decoded together; None
            takes a share of the memory that is free now.
        max_rows: the most of them; None takes what suits the device.
        row_length: tokens of a packed row.
        min_steps: decode steps between two refills, at least; None takes what suits the device.
    """

    def __init__(
        self,
        params: Params,
        config: ModelConfig,
        mesh: Mesh | None,
        *,
        vocab_size: int,
        cache_bytes: int | None,
        max_rows: int | None,
        row_length: int,
        min_steps: int | None,
    ) -> None:
        self.config, self.vocab_size = config, vocab_size
        self.mesh = None if mesh is None or mesh.size == 1 else mesh
        params = _cast(params, config.dtype)
        self.params = {**params, "blocks": _unstacked(params["blocks"], config.num_layers)}
        if cache_bytes is None:
            # Rows are split over the processes; all of them must come to the same number.
            cache_bytes = min(gather(_share_of_memory())) * jax.process_count()
        self.cache_bytes = cache_bytes
        self.max_rows = max_rows or _ROWS.get(jax.default_backend(), 256)
        self.min_steps = min_steps or _MIN_STEPS.get(jax.default_backend(), 8)
        self.row_length = min(row_length, size_bucket(config.max_positions))
        self.max_items = max(1, self.row_length // _TOKENS_PER_ITEM)
        self.batch_splits = (
            1 if self.mesh is None else self.mesh.shape["data"] * self.mesh.shape["fsdp"]
        )
        # XLA:CPU multiplies small matrices a row in float32 at the speed of memory; in bfloat16 the
        # same took eleven times as long. The values are the same, only kept wider.
        self.cache_dtype = "float32" if jax.default_backend() == "cpu" else config.dtype
        self.prefill_threads = (
            _PREFILL_THREADS.get(jax.default_backend(), 0) if self.mesh is None else 0
        )
        self.stats = Stats()

    def on_mesh(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which programs are run: kernels split their work over its mesh."""
        return contextlib.nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def num_rows(self, num_requests: int, slots: int) -> int:
        """Rows to decode together, each with `slots` keys: what fits in memory and is needed."""
        config = self.config
        per_slot = 2 * config.num_layers * config.num_kv_heads * config.head_dim
        per_row = slots * per_slot * jnp.dtype(self.cache_dtype).itemsize
        rows = max(1, min(self.max_rows, self.cache_bytes // per_row))
        rows = min(1 << (rows.bit_length() - 1), 1 << max(0, num_requests - 1).bit_length())
        return -(-rows // self.batch_splits) * self.batch_splits

    def pack(
        self, plan: PackedPlan, texts: Sequence[Sequence[int]], wanted: Sequence[int] | None = None
    ) -> PackedRows:
        """The arrays of a packed prefill.

        Of each item the last `wanted[item.index]` tokens are picked, or the last one; the picks of
        a row stand side by side.
        """
        rows = len(plan.rows)
        tokens = np.zeros((rows, plan.length), np.int32)
        positions = np.zeros_like(tokens)
        starts = np.tile(np.arange(plan.length, dtype=np.int32), (rows, 1))
        picks: list[list[int]] = [[] for _ in range(rows)]
        for row, part in enumerate(plan.rows):
            start = 0
            for item in part:
                end = start + item.own
                text = texts[item.index]
                tokens[row, start:end] = text[plan.group.length :]
                positions[row, start:end] = np.arange(plan.group.length, len(text))
                starts[row, start:end] = start
                picks[row] += range(end - (wanted[item.index] if wanted else 1), end)
                start = end
        picked = np.zeros((rows, size_bucket(max(map(len, picks)), 1)), np.int32)
        for row, places in enumerate(picks):
            picked[row, : len(places)] = places
        self.stats.own_tokens += sum(item.own for item in plan.items)
        self.stats.prompt_tokens += sum(len(texts[item.index]) for item in plan.items)
        self.stats.prefill_positions += rows * plan.length
        return PackedRows(*map(self.batched, (tokens, positions, starts, picked)))

    def run_prefix(self, tokens: Sequence[int]) -> KeyValues:
        """Keys and values of a beginning that requests share, for every device."""
        padded = np.zeros(size_bucket(len(tokens)), np.int32)
        padded[: len(tokens)] = tokens
        self.stats.prefix_tokens += len(tokens)
        self.stats.prefill_positions += len(padded)
        return run_prefix(
            self.params, self.config, self.everywhere(padded), cache_dtype=self.cache_dtype
        )

    def batched(self, array: np.ndarray) -> jax.Array:
        """An array split by its first dimension over the devices of the batch."""
        return self._placed(array, ("batch", *(None,) * (array.ndim - 1)))

    def everywhere(self, array: np.ndarray) -> jax.Array:
        """An array that every device has."""
        return self._placed(array, (None,) * array.ndim)

    def fetch(self, tree: Any) -> Any:
        """The arrays of a tree on the host, in every process."""
        return fetch(tree, self.mesh)

    def empty_slots(self, sampling: SamplingState | None, **sizes: int) -> Slots:
        """Slots with rows split over the devices of the batch and heads over `tensor`."""
        make = functools.partial(
            empty_slots, self.config, cache_dtype=self.cache_dtype, sampling=sampling, **sizes
        )
        if self.mesh is None:
            return make()
        layouts = slots_layout(self.mesh, jax.eval_shape(make))
        return jax.jit(make, out_shardings=layouts)()

    def empty_pool(self, size: int) -> KeyValues:
        """A prefix pool of so many slots, with heads split over `tensor`."""
        make = functools.partial(empty_cache, self.config, (), size, self.cache_dtype)
        if self.mesh is None:
            return make()
        layouts = cache_layout(self.mesh, jax.eval_shape(make))
        return jax.jit(make, out_shardings=layouts)()

    def _placed(self, array: np.ndarray, axes: tuple[str | None, ...]) -> jax.Array:
        if self.mesh is None:
            return jnp.asarray(array)
        return place(array, sharding(self.mesh, axes, array.shape))
