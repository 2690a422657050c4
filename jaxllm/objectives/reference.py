"""What a reference model says of the answers, asked once and kept on disk.

Shape suffixes: B rows, T positions, C positions that carry loss.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import uuid

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxllm.input.batches import make_batch
from jaxllm.input.device import prefetch
from jaxllm.input.mixture import loss_capacity
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizedSource
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.objectives.cross_entropy import trained_positions
from jaxllm.objectives.dpo import target_log_probs
from jaxllm.observe.progress import Progress
from jaxllm.parallel.rules import partition_spec

# Raise it when this file comes to compute something else from the same input.
_CACHE_VERSION = 1


class Reference:
    """A model that says how likely it finds the answers of sources.

    What it said is kept in `data_dir/cache` under a key of its `fingerprint` and of the source's
    tokens, and read from there the next time.
    """

    def __init__(
        self,
        params: Params,
        config: ModelConfig,
        *,
        fingerprint: str,
        mesh: Mesh,
        data_dir: epath.PathLike,
    ) -> None:
        self._params: Params | None = params
        self._config, self._fingerprint = config, fingerprint
        self._mesh, self._data_dir = mesh, data_dir

    def annotate(self, source: TokenizedSource, *, rows: int, row_length: int) -> TokenizedSource:
        """The source with log-probabilities of all its tokens that carry loss.

        Args:
            rows: how many rows are computed at a time.
            row_length: T, the longest of the source's sequences less one, or more.
        """
        is_trained = source.loss_weights > 0
        key = hashlib.sha256(
            json.dumps([_CACHE_VERSION, self._fingerprint, source.digest]).encode()
        )
        key.update(np.ascontiguousarray(source.offsets, "<i8").tobytes())
        path = epath.Path(self._data_dir) / "cache" / f"reference-{key.hexdigest()[:32]}.npy"
        kept = _read(path, int(np.count_nonzero(is_trained)))
        if kept is None:
            if self._params is None:
                raise ValueError("the reference model was released before it was asked")
            kept = _asked(source, self._params, self._config, self._mesh, rows, row_length)
            kept = kept[is_trained]
            _write(path, kept)
        log_probs = np.zeros(len(source.ids), np.float32)
        log_probs[is_trained] = kept
        return dataclasses.replace(source, reference_log_probs=log_probs)

    def release(self) -> None:
        """Lets go of the weights: from here on only what was asked before can be asked."""
        self._params = None


def _asked(
    source: TokenizedSource,
    params: Params,
    config: ModelConfig,
    mesh: Mesh,
    rows: int,
    row_length: int,
) -> np.ndarray:
    """Log-probabilities of the tokens that carry loss, float32 [tokens], 0 for the others."""
    plan = make_plan(
        [plan_source(source)], seed=0, rows_per_step=rows, row_length=row_length, num_epochs=1
    )
    # Every process gets all of the rows.
    ask = jax.jit(
        functools.partial(_log_probs, config=config, capacity=loss_capacity(plan, [source])),
        out_shardings=NamedSharding(mesh, PartitionSpec()),
    )
    # A batch of the tokens' own numbers says which token each position is to predict.
    numbers = dataclasses.replace(source, ids=np.arange(len(source.ids), dtype=np.int32))
    log_probs = np.zeros(len(source.ids), np.float32)
    layout = NamedSharding(mesh, partition_spec((None, "batch", "length")))
    bar = Progress(f"reference of {source.name}", total=plan.num_steps, unit="batches")
    with jax.set_mesh(mesh), bar, prefetch(plan, [source], 0, plan.num_steps, layout) as batches:
        for step, batch in batches:
            found_BT = np.asarray(ask(params, batch))
            numbered = make_batch(plan, step, [numbers])
            is_trained_BT = numbered["loss_weights"] > 0
            log_probs[numbered["targets"][is_trained_BT]] = found_BT[is_trained_BT]
            bar.update(1)
    return log_probs


def _log_probs(
    params: Params, batch: dict[str, jax.Array], *, config: ModelConfig, capacity: int | None
) -> jax.Array:
    batch = {name: array[0] for name, array in batch.items()}
    where_BC = trained_positions(batch["loss_weights"], capacity)
    log_probs_BC = target_log_probs(params, config, batch, where_BC)
    if where_BC is None:
        return log_probs_BC
    zeros_BT = jnp.zeros(batch["tokens"].shape, jnp.float32)
    return jnp.put_along_axis(zeros_BT, where_BC, log_probs_BC, axis=1, inplace=False)


def _write(path: epath.Path, log_probs: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several hosts may write the same key at once, with the same content: the last rename wins.
    unfinished = path.parent / f"{path.stem}-{os.getpid()}-{uuid.uuid4().hex}.unfinished"
    try:
        with unfinished.open("wb") as file:
            np.save(file, log_probs)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(path: epath.Path, size: int) -> np.ndarray | None:
    """Returns None for a file that is missing or damaged, so that it is written anew."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            log_probs = np.load(file, allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    whole = log_probs.shape == (size,) and log_probs.dtype == np.float32
    return log_probs if whole else None
