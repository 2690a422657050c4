"""Which single change would make a config fit: each is tried by compiling."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.overrides import apply_overrides
from jaxllm.planning.process import Job, run_trial, run_trials
from jaxllm.planning.topology import Topology, larger
from jaxllm.planning.trial import DecodeTrial, Trial

_GIB = 2**30
_NARROW_MOMENTS = ("optimizer.moment_dtype=bfloat16",)
_NARROW_WEIGHTS = ("model.param_dtype=bfloat16",)
# What a model computes in is the dtype of its keys and values too.
_NARROW_KEYS = ("model.dtype=bfloat16",)
_MORE_REMAT = {"none": ("dots", "full"), "dots": ("full",), "full": ()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A change, and what came of it.

    Attributes:
      flags: of the command line, that make the change.
      gib: that a chip needs then; where nothing was compiled, for what lies there between steps.
      fits: whether that is there.
    """

    flags: str
    gib: float
    fits: bool

    def __str__(self) -> str:
        """As `--config.model.remat=full: fits, 11.2 GiB`."""
        return f"{self.flags}: {'fits, ' if self.fits else 'not enough, '}{self.gib:.1f} GiB"


def find_advice(
    config: ConfigDict,
    trial: Trial | DecodeTrial,
    topology: Topology,
    job: Job,
    say: Callable[[str], None],
) -> list[Attempt]:
    """What was tried: single changes first, the cheapest ones first, then larger slices.

    It ends with the first change that fits; larger slices are tried where there is none.
    """
    tried: list[Attempt] = []
    trains = isinstance(trial, Trial)
    steps_fit = not isinstance(trial, Trial) or (trial.step is not None and trial.step.fits)
    find = decoding_changes if steps_fit else single_changes
    for overrides in find(config, trial.mesh, topology.num_slices):
        flags = " ".join(f"--config.{override}" for override in overrides)
        say(f"trying {flags}")
        changed = config.copy_and_resolve_references()
        apply_overrides(changed, overrides)
        tried.append(_attempt(flags, run_trial(changed, job), topology))
        if tried[-1].fits:
            return tried
    for wider in larger(topology):
        overrides = _widest(topology.num_slices)
        overrides += (_fewest_parts(config, wider),) if trains else ()
        flags = f"--topology={wider.name} --config.{overrides[-1] if trains else overrides[1]}"
        changed = config.copy_and_resolve_references()
        apply_overrides(changed, overrides)
        aim = dataclasses.replace(job, topology=wider.name)
        (counted,) = run_trials([changed], dataclasses.replace(aim, compiles=False))
        if isinstance(counted, UserError):
            break  # rows or weights that divide over no more chips
        if counted.counted * wider.chip.devices > wider.chip.hbm_gib * _GIB:
            continue
        say(f"trying {flags}")
        tried.append(_attempt(flags, run_trial(changed, aim), wider))
        if tried[-1].fits:
            break
    return tried


def single_changes(
    config: ConfigDict, mesh: dict[str, int], num_slices: int
) -> list[tuple[str, ...]]:
    """Overrides that each save memory; those that cost precision come last."""
    changes: list[tuple[str, ...]] = []
    changes += [(f"model.remat={policy}",) for policy in _MORE_REMAT[config.model.remat]]
    rows, accumulation = config.input.rows, config.input.accumulation
    smallest = rows // (mesh["data"] * mesh["fsdp"])  # one row a device
    if smallest > accumulation:
        changes.append((f"input.accumulation={smallest}",))
    devices = mesh["data"] * mesh["fsdp"] * mesh["tensor"]
    if mesh["fsdp"] < devices // num_slices and _rows_divide(config, devices):
        changes.append(_widest(num_slices))
    if _has_wide_moments(config):
        changes.append(_NARROW_MOMENTS)
    if config.model.param_dtype == "float32":
        changes.append(_NARROW_WEIGHTS)
    return changes


def decoding_changes(
    config: ConfigDict, mesh: dict[str, int], num_slices: int
) -> list[tuple[str, ...]]:
    """Overrides that each leave decoding more room, of a config for training or for evaluation."""
    changes: list[tuple[str, ...]] = []
    devices = mesh["data"] * mesh["fsdp"] * mesh["tensor"]
    trains = "optimizer" in config
    if mesh["fsdp"] < devices // num_slices and (not trains or _rows_divide(config, devices)):
        changes.append(_widest(num_slices))
    is_narrow = config.model.dtype != "float32"
    if not is_narrow:
        changes.append(_NARROW_KEYS)
    if trains and _has_wide_moments(config):
        changes.append(_NARROW_MOMENTS)
    if config.model.param_dtype == "float32":
        changes.append(_NARROW_WEIGHTS if is_narrow else _NARROW_KEYS + _NARROW_WEIGHTS)
    return changes


def _rows_divide(config: ConfigDict, devices: int) -> bool:
    return config.input.rows % (devices * config.input.accumulation) == 0


def _has_wide_moments(config: ConfigDict) -> bool:
    return config.optimizer.name != "adafactor" and config.optimizer.moment_dtype != "bfloat16"


def _widest(num_slices: int) -> tuple[str, ...]:
    """Weights split over all devices of a slice."""
    return (f"mesh.data={num_slices}", "mesh.fsdp=-1", "mesh.tensor=1")


def _fewest_parts(config: ConfigDict, topology: Topology) -> str:
    """As many micro-batches as leave each device a row, and no more than there are."""
    rows = config.input.rows // topology.devices
    return f"input.accumulation={max(1, min(config.input.accumulation, rows))}"


def _attempt(flags: str, trial: Trial | DecodeTrial, topology: Topology) -> Attempt:
    return Attempt(
        flags=flags, gib=trial.peak * topology.chip.devices / _GIB, fits=trial.fits(topology)
    )


def advice_lines(tried: Sequence[Attempt]) -> list[str]:
    """The changes that fit, or all that do not."""
    return [str(attempt) for attempt in tried if attempt.fits] or [str(one) for one in tried]
