"""Orbax checkpoints of a training run: saved in the background, restored on any mesh."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import partition
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.model_files import check_same_kind, has_model_files, write_model_files
from jaxllm.weights.source_files import SourceFiles

State = dict[str, Any]

_PARAMS, _REST, _EXTRA = "params", "rest", "extra"
_NUM_LISTED = 5  # how many mismatching arrays an error names
# How a checkpoint with missing or cut files shows itself when it is read.
_DAMAGE = (ValueError, KeyError, OSError)


class Checkpoints:
    """The checkpoints of one run, a folder per step.

    A state is a nested dict with `params` and whatever else training needs; weights and the rest
    are stored apart, so that weights load alone. Every process calls every method.

    Args:
        folder: where the steps go (`WORKDIR/checkpoints`); may be `gs://`.
        model_config, tokenizer, source_files: written beside the steps, for `load_model`.
        base: what adapters are trained on; of a state with one, the adapters alone are stored.
        keep_last: how many of the newest steps stay.
        keep_every: steps that are multiples of it stay for good; 0 for none.
        best_metric: the step where this entry of `metrics` is best stays too; "" for none.
        best_mode: "max" or "min".
    """

    def __init__(
        self,
        folder: epath.PathLike,
        *,
        model_config: ModelConfig,
        tokenizer: Tokenizer | None = None,
        source_files: SourceFiles | None = None,
        base: BaseModel | None = None,
        keep_last: int = 1,
        keep_every: int = 0,
        best_metric: str = "",
        best_mode: str = "max",
    ) -> None:
        if keep_last < 1 or keep_every < 0:
            raise UserError(
                f"checkpoint.keep_last={keep_last} must be at least 1, and "
                f"checkpoint.keep_every={keep_every} at least 0"
            )
        if best_mode not in ("max", "min"):
            raise UserError(f'checkpoint.best_mode={best_mode!r} must be "max" or "min"')
        self.folder = _absolute(folder)
        self._model = (model_config, tokenizer, source_files, base)
        if has_model_files(self.folder):
            check_same_kind(self.folder, model_config, base)
        self._best_metric = best_metric
        self._told: set[str] = set()
        policies: list[Any] = [preservation_policy.LatestN(keep_last)]
        if keep_every:
            policies.append(preservation_policy.EveryNSteps(keep_every))
        best: dict[str, Any] = {}
        if best_metric:
            policies.append(
                preservation_policy.BestN(
                    get_metric_fn=self._score,
                    reverse=best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
            best = {"best_fn": self._score, "best_mode": best_mode}
        for path in self.folder.glob("*orbax-checkpoint-tmp*"):
            self._tell(path.name, f"removing {path}: its save was cut off")
            if jax.process_index() == 0:
                path.rmtree()
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                **best,
            ),
            item_handlers=_handlers(),
        )

    def save(
        self,
        step: int,
        state: State,
        metrics: Mapping[str, float] | None = None,
        extra: Mapping[str, Any] | None = None,
        *,
        anew: bool = False,
    ) -> None:
        """Start saving `state` as `step`; the state is copied off the devices before it returns.

        `extra` is any JSON value to have back at a restore. A step that is already there is left
        alone, unless it is to be saved `anew`: a resumed run comes to the same bits.

        Raises:
            UserError: the disk is full (now, or in the save before this one), or there are
                checkpoints of later steps.
        """
        with self.explained_full_disk():
            self._manager.wait_until_finished()  # one save at a time; its errors are told here
            newest = self.latest_step()
            if newest is not None and newest > step:
                raise UserError(
                    f"{self.folder} already holds step {newest}, so step {step} cannot be saved "
                    "there; give the run a workdir of its own"
                )
            if newest == step and not anew:
                return
            if newest == step:
                self._manager.delete(step)
            self._set_damaged_aside(step)
            write_model_files(self.folder, *self._model)
            self._manager.save(
                step,
                metrics=self._best(metrics),
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(self._stored(state[_PARAMS])),
                    rest=ocp.args.StandardSave(_without_params(state)),
                    extra=ocp.args.JsonSave(dict(extra or {})),
                ),
            )

    def restore(self, step: int | None, target: State) -> tuple[State, dict[str, Any]]:
        """A state shaped and laid out as `target`, and the `extra` saved with it.

        `target` is a tree of `jax.ShapeDtypeStruct` with shardings. With `step` None the newest
        checkpoint that can be read is taken; one that cannot is passed over with a line on
        stderr. Weights of a `base` are left out.

        Raises:
            UserError: there is no checkpoint, `step` cannot be read, or arrays differ from the
                target's (the first few are listed).
        """
        if step is not None:
            steps = saved_steps(self.folder)
            if step not in steps:
                raise UserError(f"{self.folder} has no step {step}; it has {steps or 'none'}")
            try:
                return self._read(step, target)
            except _DAMAGE as error:
                raise UserError(
                    f"the checkpoint {self.folder / str(step)} cannot be read ({_line(error)}); "
                    "choose another step"
                ) from error
        for candidate in self._whole_steps():
            try:
                return self._read(candidate, target)
            except _DAMAGE as error:
                self._tell_damaged(candidate, _line(error))
        raise UserError(f"{self.folder} holds no checkpoint that can be read")

    def latest_step(self) -> int | None:
        """The newest step whose checkpoint is whole, or None."""
        return next(self._whole_steps(), None)

    def best_step(self) -> int | None:
        """The step where `best_metric` is best; None where it was never measured."""
        return self._manager.best_step() if self._best_metric else None

    def wait(self) -> None:
        """Block until the save in progress is on disk.

        Raises:
            UserError: the disk is full.
        """
        with self.explained_full_disk():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Finish the save in progress and let the background threads go."""
        with self.explained_full_disk():
            self._manager.close()

    def _read(self, step: int, target: State) -> tuple[State, dict[str, Any]]:
        wanted = {_PARAMS: self._stored(target[_PARAMS]), _REST: _without_params(target)}
        metadata = self._manager.item_metadata(step)
        for item, tree in wanted.items():
            _check_arrays(metadata[item], tree, where=f"{self.folder / str(step)}: {item}")
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(wanted[_PARAMS]),
                rest=ocp.args.StandardRestore(wanted[_REST]),
                extra=ocp.args.JsonRestore(),
            ),
        )
        return {_PARAMS: restored[_PARAMS], **restored[_REST]}, restored[_EXTRA]

    def _stored(self, params: Any) -> Any:
        return params if self._model[3] is None else partition(params, is_adapter)[0]

    def _whole_steps(self) -> Iterator[int]:
        """Steps that look whole and were not found damaged, newest first."""
        for step in reversed(saved_steps(self.folder)):
            if f"damaged {step}" in self._told:
                continue
            if _looks_whole(self.folder / str(step)):
                yield step
            else:
                self._tell_damaged(step, "files are missing")

    def _tell_damaged(self, step: int, why: str) -> None:
        path = self.folder / str(step)
        self._tell(f"damaged {step}", f"passing over {path}: it is damaged ({why})")

    def _tell(self, key: str, text: str) -> None:
        if key not in self._told and jax.process_index() == 0:
            print(text, file=sys.stderr, flush=True)
        self._told.add(key)

    def _set_damaged_aside(self, step: int) -> None:
        # Orbax saves nothing below the newest step it sees, so damaged ones must leave its sight.
        damaged = [old for old in saved_steps(self.folder) if f"damaged {old}" in self._told]
        for old in damaged:
            if jax.process_index() == 0:
                path = self.folder / str(old)
                path.rename(self.folder / f"damaged-{old}-before-{step}")
        if damaged:
            self._told -= {f"damaged {old}" for old in damaged}
            ocp.multihost.sync_global_processes("jaxllm: damaged checkpoints set aside")
            self._manager.reload()

    def _score(self, metrics: Mapping[str, float]) -> float:
        return float(metrics[self._best_metric])

    def _best(self, metrics: Mapping[str, float] | None) -> dict[str, float] | None:
        if not self._best_metric:
            return None
        if not metrics:
            return None
        if self._best_metric not in metrics:
            known = ", ".join(sorted(metrics))
            self._tell(
                "best",
                f"no metric {self._best_metric!r} to choose the best step by; there are {known}",
            )
            return None
        return {self._best_metric: float(metrics[self._best_metric])}

    @contextlib.contextmanager
    def explained_full_disk(self) -> Iterator[None]:
        """Turns a full disk, whoever wrote last, into a UserError that names the last good step."""
        try:
            yield
        except Exception as error:
            if isinstance(error, UserError) or not _is_disk_full(error):
                raise
            step = self.latest_step()
            good = "none was saved before" if step is None else f"step {step} is the last good one"
            raise UserError(
                f"the disk of {self.folder} is full: nothing more can be saved; {good}. Free "
                "space, or lower --config.checkpoint.keep_last"
            ) from error


def restore_params(
    folder: epath.PathLike, step: int | None, target: Any, dtype: str | None = None
) -> tuple[Any, int]:
    """The weights of a checkpoint without its optimizer state, and their step.

    `target` is the parameter tree as `jax.ShapeDtypeStruct`s with shardings. Weights are cast to
    `dtype`, or keep the dtype they are stored in. With `step` None the newest readable checkpoint
    is taken.

    Raises:
        UserError: as `Checkpoints.restore`.
    """
    folder = _absolute(folder)
    steps = saved_steps(folder)
    if step is not None and step not in steps:
        raise UserError(f"{folder} has no step {step}; it has {steps or 'none'}")
    failure: Exception | None = None
    handler = ocp.CompositeCheckpointHandler(**_handlers())
    with ocp.Checkpointer(handler) as reader:
        for candidate in reversed(steps if step is None else [step]):
            where = folder / str(candidate)
            try:
                found = reader.metadata(where).item_metadata[_PARAMS]
                _check_arrays(found, target, where=str(where), check_dtype=False)
                keep = functools.partial(_as_stored, dtype=dtype)
                wanted = jax.tree.map(keep, target, found.tree)
                args = ocp.args.Composite(params=ocp.args.StandardRestore(wanted))
                return reader.restore(where, args)[_PARAMS], candidate
            except _DAMAGE as error:
                failure = error
                print(f"passing over {where}: it is damaged ({_line(error)})", file=sys.stderr)
    raise UserError(f"{folder} holds no checkpoint that can be read") from failure


def _as_stored(
    leaf: jax.ShapeDtypeStruct, stored: Any, *, dtype: str | None
) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, dtype or stored.dtype, sharding=leaf.sharding)


def _handlers() -> dict[str, Any]:
    return {
        _PARAMS: ocp.StandardCheckpointHandler(),
        _REST: ocp.StandardCheckpointHandler(),
        _EXTRA: ocp.JsonCheckpointHandler(),
    }


def _absolute(folder: epath.PathLike) -> epath.Path:
    # Orbax refuses relative paths, and only once it writes.
    path = epath.Path(folder)
    return path if "://" in os.fspath(path) else path.expanduser().absolute()


def saved_steps(folder: epath.Path) -> list[int]:
    """Steps on disk whose save was finished, in order."""
    return sorted(ocp.utils.checkpoint_steps(folder))


def _without_params(state: State) -> State:
    return {name: value for name, value in state.items() if name != _PARAMS}


def _looks_whole(step_folder: epath.Path) -> bool:
    files = ("_CHECKPOINT_METADATA", f"{_PARAMS}/_METADATA", f"{_PARAMS}/manifest.ocdbt")
    return all((step_folder / name).exists() for name in files)


def _check_arrays(found: Any, target: Any, *, where: str, check_dtype: bool = True) -> None:
    if found is None:
        raise KeyError("its metadata is missing")

    def described(tree: Any) -> dict[str, str]:
        # Orbax stores tuples as lists and named tuples as dicts; the paths read the same.
        return {
            jax.tree_util.keystr(path, simple=True, separator="."): (
                f"{leaf.dtype if check_dtype else ''}{list(leaf.shape)}"
            )
            for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
            if hasattr(leaf, "shape")
        }

    there, here = described(found), described(target)
    lines = [f"{name} is only in the checkpoint" for name in there if name not in here]
    lines += [f"{name} is not in the checkpoint" for name in here if name not in there]
    lines += [
        f"{name} is {there[name]} in the checkpoint and {here[name]} here"
        for name in here
        if name in there and there[name] != here[name]
    ]
    if lines:
        more = f"; and {len(lines) - _NUM_LISTED} more" if len(lines) > _NUM_LISTED else ""
        raise UserError(
            f"{where}: the arrays differ from this run's: {'; '.join(lines[:_NUM_LISTED])}{more}. "
            "Use the model and optimizer settings the checkpoint was made with, or start anew "
            "with config.init_from"
        )


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error) or "Disk quota exceeded" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
