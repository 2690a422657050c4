"""Optax from settings: schedule, clipping, and an optimizer by name with a decay mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from jaxllm.errors import UserError

# A layer's kernels, stacked: layer, input, output.
_STACKED_MATRIX = optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
# The root mean square of AdamW's updates, by which arXiv 2502.16982 scales Muon's.
_ADAMW_RMS = 0.2
_NAMES = ("adamw", "adafactor", "lion", "muon")
_MOMENT_DTYPES = ("", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`config.optimizer`. Steps are optimizer steps; `warmup` is a share of the run if below 1.

    So is `hold`: for so long the run's end stays at `end_lr`, which the decay has reached by then
    (NeMo's `constant_steps`).

    `muon` orthogonalizes the momentum (of decay `momentum`) of the layers' matrices and leaves
    embeddings, output projection and vectors to AdamW. Its updates are as large as AdamW's
    (arXiv 2502.16982), so that one `peak_lr` serves both. `lion` (arXiv 2302.06675) keeps one
    moment and wants a rate three to ten times lower; `adafactor` (arXiv 1804.04235, at the rate
    given, without scaling by the size of the weights) keeps almost nothing for a large matrix.

    `moment_dtype` is that of the first moment, "" for the weights' own: "bfloat16" saves a quarter
    of AdamW's memory. Weights whose dotted name matches a pattern of `freeze` (`embed.*`,
    `*.scale`) stay as they are.
    """

    name: Literal["adamw", "adafactor", "lion", "muon"] = "adamw"
    peak_lr: float = 1e-5
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.1
    hold: float = 0.0
    end_lr: float = 0.0
    b1: float = 0.9
    b2: float = 0.95
    momentum: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    moment_dtype: Literal["", "float32", "bfloat16"] = ""
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, allowed in (("name", _NAMES), ("moment_dtype", _MOMENT_DTYPES)):
            if getattr(self, field) not in allowed:
                raise UserError(
                    f"config.optimizer.{field}={getattr(self, field)!r}: use "
                    f"{', '.join(name or 'nothing' for name in allowed)}"
                )


def learning_rate(settings: OptimizerSettings, num_steps: int) -> optax.Schedule:
    """Linear warm-up from 0 to `peak_lr`, then the named decay to `end_lr`, which then holds."""
    warmup, hold = (
        round(part * num_steps if part < 1 else part) for part in (settings.warmup, settings.hold)
    )
    rest = max(1, num_steps - warmup - hold)
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
    """Clip by global norm, then the named optimizer; vectors (norms, biases) do not decay.

    Args:
        axes: the model's tree of logical axes; a leaf with fewer than two dimensions, the layer
            axis aside, is left out of weight decay.
    """
    schedule = learning_rate(settings, num_steps)
    decays = _by_axes(lambda names: len(_without_layers(names)) > 1, axes)
    moment_dtype = settings.moment_dtype or None
    adamw = optax.adamw(
        schedule,
        b1=settings.b1,
        b2=settings.b2,
        eps=settings.eps,
        mu_dtype=moment_dtype,
        weight_decay=settings.weight_decay,
        mask=decays,
    )
    match settings.name:
        case "adamw":
            step = adamw
        case "lion":
            step = optax.lion(
                schedule,
                b1=settings.b1,
                b2=settings.b2,
                mu_dtype=moment_dtype,
                weight_decay=settings.weight_decay,
                mask=decays,
            )
        case "adafactor":
            # Not `optax.adafactor`, whose weight decay does not follow the learning rate. The
            # layers of one weight are clipped together, as they lie in one array.
            step = optax.chain(
                optax.scale_by_factored_rms(),
                optax.clip_by_block_rms(1.0),
                optax.add_decayed_weights(settings.weight_decay, decays),
                optax.scale_by_learning_rate(schedule),
            )
        case "muon":
            muon = optax.contrib.muon(
                schedule,
                beta=settings.momentum,
                weight_decay=settings.weight_decay,
                mu_dtype=moment_dtype,
                muon_weight_dimension_numbers=_STACKED_MATRIX,
                consistent_rms=_ADAMW_RMS,
            )
            labels = _by_axes(lambda names: "muon" if _is_stacked_matrix(names) else "adamw", axes)
            step = optax.partition({"muon": muon, "adamw": adamw}, labels)
    clip = [optax.clip_by_global_norm(settings.clip_norm)] if settings.clip_norm > 0 else []
    return optax.chain(*clip, step)


def _without_layers(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != "layers")


def _is_stacked_matrix(names: tuple[str, ...]) -> bool:
    return "layers" in names and len(_without_layers(names)) == 2


def _by_axes(function: Callable[[tuple[str, ...]], Any], axes: Any) -> Any:
    return jax.tree.map(function, axes, is_leaf=lambda node: isinstance(node, tuple))
