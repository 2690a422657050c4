"""Where a run goes on: the state and the frozen weights of its newest checkpoint."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from jaxllm.input.plan import Plan
from jaxllm.input.provenance import check_same_order
from jaxllm.models.decoder import Params
from jaxllm.models.partition import combine, leaf_names, partition
from jaxllm.objectives.train_state import State
from jaxllm.weights.checkpoint import Checkpoints


class Resumed(NamedTuple):
    """What a checkpoint held; `extra` is what was kept beside the state."""

    step: int
    extra: dict[str, Any]
    state: State
    frozen: Params


def resume(checkpoints: Checkpoints, target: State, frozen: Params, plan: Plan) -> Resumed | None:
    """The newest checkpoint, laid out as `target` and `frozen` are; None if there is none.

    Raises:
        UserError: the checkpoint is of another model or of data in another order.
    """
    if checkpoints.latest_step() is None:
        return None
    params = combine(target["params"], jax.tree.map(_abstract, frozen))
    state, extra = checkpoints.restore(None, {**target, "params": params})
    step = int(state["step"])
    check_same_order(extra.get("order"), plan.parts, step)
    is_trained = set(leaf_names(target["params"])).__contains__
    trained, restored = partition(state["params"], is_trained)
    # Of a model that adapters stand on nothing was saved.
    _, unsaved = partition(frozen, set(leaf_names(restored)).__contains__)
    return Resumed(step, extra, {**state, "params": trained}, combine(restored, unsaved))


def _abstract(array: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)
