"""Optax from settings: schedule, clipping, AdamW with a decay mask."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import optax

from jaxllm.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`config.optimizer`. Steps are optimizer steps; `warmup` is a share of the run if below 1."""

    peak_lr: float = 1e-5
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.1
    end_lr: float = 0.0
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0


def learning_rate(settings: OptimizerSettings, num_steps: int) -> optax.Schedule:
    """Linear warm-up from 0 to `peak_lr`, then the named decay to `end_lr` at `num_steps`."""
    warmup = round(settings.warmup * num_steps if settings.warmup < 1 else settings.warmup)
    rest = max(1, num_steps - warmup)
    peak, end = settings.peak_lr, settings.end_lr
    match settings.schedule:
        case "cosine":
            decay = optax.cosine_decay_schedule(peak, rest, alpha=end / peak if peak else 0.0)
        case "linear":
            decay = optax.linear_schedule(peak, end, rest)
        case "constant":
            decay = optax.constant_schedule(peak)
        case unknown:
            raise UserError(
                f"config.optimizer.schedule={unknown!r}: use cosine, linear or constant"
            )
    # The ramp starts at 0 like transformers' schedules, so that recipes written for them agree.
    ramp = optax.linear_schedule(0.0, peak, max(1, warmup))
    return optax.join_schedules([ramp, decay], [warmup]) if warmup else decay


def make_optimizer(
    settings: OptimizerSettings, num_steps: int, axes: Any
) -> optax.GradientTransformation:
    """Clip by global norm, then AdamW; weights that are vectors (norms, biases) do not decay.

    Args:
        axes: the model's tree of logical axes; a leaf with fewer than two dimensions, the layer
            axis aside, is left out of weight decay.
    """
    decays = jax.tree.map(
        lambda names: len([name for name in names if name != "layers"]) > 1,
        axes,
        is_leaf=lambda node: isinstance(node, tuple),
    )
    steps = [
        optax.adamw(
            learning_rate(settings, num_steps),
            b1=settings.b1,
            b2=settings.b2,
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            mask=decays,
        )
    ]
    if settings.clip_norm > 0:
        steps.insert(0, optax.clip_by_global_norm(settings.clip_norm))
    return optax.chain(*steps)
