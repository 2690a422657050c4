"""Where scalars go beside the run's own files: TensorBoard and Weights & Biases."""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Mapping
from typing import Any, Protocol

from etils import epath

from jaxllm.errors import UserError

_WANDB_MODES = ("off", "online", "offline")
_WANDB_ID = "wandb_id.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObserveSettings:
    """`config.observe`: who else is told of the scalars (`pip install -e '.[observe]'`).

    Attributes:
        tensorboard: event files in WORKDIR/tensorboard.
        wandb: `off`, `online`, or `offline` (files in WORKDIR/wandb, sent later by `wandb sync`).
        wandb_project: where the run stands there, under the name of its folder.
    """

    tensorboard: bool = False
    wandb: str = "off"
    wandb_project: str = "jaxllm"

    def __post_init__(self) -> None:
        if self.wandb not in _WANDB_MODES:
            raise UserError(f"config.observe.wandb={self.wandb!r}: use {', '.join(_WANDB_MODES)}")


class Sink(Protocol):
    """Something that is told of scalars."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the finite values of a step; the same step may come again with others."""

    def close(self) -> None:
        """Sends or writes what it still holds."""


def make_sinks(
    settings: ObserveSettings, workdir: epath.PathLike, config: Mapping[str, Any]
) -> list[Sink]:
    """The sinks that the settings name; `config` is shown beside the run.

    Raises `UserError` where a library is missing.
    """
    sinks: list[Sink] = []
    if settings.tensorboard:
        sinks.append(_TensorBoard(epath.Path(workdir)))
    if settings.wandb != "off":
        sinks.append(_Wandb(settings, epath.Path(workdir), config))
    return sinks


class _TensorBoard:
    def __init__(self, workdir: epath.Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise _missing("config.observe.tensorboard=True", "tensorboardX") from error
        self._writer = SummaryWriter(os.fspath(workdir / "tensorboard"), flush_secs=30)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(
        self, settings: ObserveSettings, workdir: epath.Path, config: Mapping[str, Any]
    ) -> None:
        try:
            import wandb
        except ImportError as error:
            raise _missing(f"config.observe.wandb={settings.wandb!r}", "wandb") from error
        is_local = "://" not in os.fspath(workdir)
        self._run = wandb.init(
            project=settings.wandb_project,
            name=workdir.name,
            id=_run_id(workdir),
            resume="allow",
            mode=settings.wandb,
            dir=os.fspath(workdir) if is_local else None,
            config=dict(config),
            settings=wandb.Settings(silent=True),
        )
        # W&B's own steps never go back, those of a run that was killed do.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "step": step})

    def close(self) -> None:
        self._run.finish()


def _run_id(workdir: epath.Path) -> str:
    """The same run at W&B for every start in this folder."""
    file = workdir / _WANDB_ID
    if not file.exists():
        file.write_text(secrets.token_hex(8))
    return file.read_text()


def _missing(setting: str, library: str) -> UserError:
    return UserError(
        f"{setting} needs {library}, which is not installed: pip install -e '.[observe]'"
    )
