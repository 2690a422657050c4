"""What a config trains, without its weights or data: the state and the step.

`jaxllm train` runs it; `jaxllm plan` compiles it for devices that are not here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, abstract_params, logical_axes
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import partition, unfrozen
from jaxllm.objectives.objective import Objective
from jaxllm.objectives.optimizer import OptimizerSettings, learning_rate, make_optimizer
from jaxllm.objectives.train_state import Batch, State, abstract_state, make_train_step


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainProgram:
    """A step and the state that it advances.

    Attributes:
      is_trained: whether a weight's dotted name is one of the state's; the others are frozen.
      target: the state as `jax.ShapeDtypeStruct`s with shardings.
      step: what `make_train_step` returns.
    """

    is_trained: Callable[[str], bool]
    optimizer: optax.GradientTransformation
    target: State
    step: Callable[[State, Params, Batch], tuple[State, dict[str, jax.Array]]]


def make_train_program(
    config: ConfigDict, model_config: ModelConfig, mesh: Mesh, objective: Objective, num_steps: int
) -> TrainProgram:
    """The state and the step of `config` on a mesh.

    Raises:
        UserError: weights that do not divide over the mesh, or `freeze` that leaves none to train.
    """
    settings = OptimizerSettings(**config.optimizer)
    tunable = abstract_params(model_config)
    if model_config.lora is not None:
        tunable, _ = partition(tunable, is_adapter)
    is_trained = unfrozen(tunable, settings.freeze)
    axes, _ = partition(logical_axes(model_config), is_trained)
    optimizer = make_optimizer(settings, num_steps, axes)
    target = abstract_state(model_config, optimizer, mesh, is_trained)
    step = make_train_step(
        model_config,
        optimizer,
        objective.loss,
        learning_rate(settings, num_steps),
        target,
        prepare=objective.prepare,
        seed=config.seed,
    )
    return TrainProgram(is_trained=is_trained, optimizer=optimizer, target=target, step=step)


def check_rows(config: ConfigDict, mesh: Mesh) -> None:
    """Refuses rows that do not divide over the devices of `mesh` and the micro-batches.

    Raises:
        UserError: with a number of rows that would.
    """
    splits = mesh.shape["data"] * mesh.shape["fsdp"]
    rows, accumulation = config.input.rows, config.input.accumulation
    if rows % (splits * accumulation):
        step = splits * accumulation
        raise UserError(
            f"config.input.rows={rows} does not divide over data x fsdp = {splits} devices and "
            f"{accumulation} micro-batches: use a multiple of {step}, such as "
            f"{max(step, round(rows / step) * step)}"
        )
