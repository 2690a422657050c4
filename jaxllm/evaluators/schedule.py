"""Which evaluators run at which step, from `config.evals`."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
from etils import epath
from ml_collections import ConfigDict

from jaxllm.config import plain_dict
from jaxllm.errors import MissingData, UserError
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.generate import GenerateEvaluator
from jaxllm.evaluators.judge import JudgeEvaluator
from jaxllm.evaluators.loss import LossEvaluator
from jaxllm.evaluators.majority import MajorityEvaluator
from jaxllm.evaluators.preference import PreferenceEvaluator
from jaxllm.evaluators.score import ScoreEvaluator
from jaxllm.models.decoder import Params

Summary = dict[str, float]

_SCHEDULE_FIELDS = ("type", "every", "first", "optional")
_VARY = "vary"
_TAKES = {
    tuple: "a list of texts, such as ('a', 'b')",
    dict: "a group of settings, such as dict(type='api', model='gpt-4o-2024-08-06')",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
}


class Evaluator(Protocol):
    """Scores weights, writes results under `folder` and returns numbers, the headline first."""

    Settings: Any

    def __init__(self, settings: Any, context: EvalContext) -> None: ...

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> Summary: ...


_TYPES: dict[str, type[Evaluator]] = {
    "generate": GenerateEvaluator,
    "judge": JudgeEvaluator,
    "loss": LossEvaluator,
    "majority": MajorityEvaluator,
    "preference": PreferenceEvaluator,
    "score": ScoreEvaluator,
}
_NEED_WEIGHTS = ("loss", "preference", "score")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ScheduledEvaluator:
    """An evaluator with its name and its steps: multiples of `every`, rounded, and the last."""

    name: str
    evaluator: Evaluator
    every: float
    first: bool

    def is_due(self, step: int, last_step: int) -> bool:
        """Whether it runs after `step` steps (0: before the first)."""
        if step == 0:
            return self.first
        if step == last_step or self.every <= 0:
            return step == last_step
        return step == round(round(step / self.every) * self.every)

    def run(
        self, params: Params, *, step: int | None, tokens: int | None, workdir: epath.Path
    ) -> Summary:
        """Evaluates into WORKDIR/evals/NAME/STEP (`final` where there are no steps)."""
        folder = result_folder(workdir, self.name, step)
        return self.evaluator(params, step=step, tokens=tokens, folder=folder)

    @staticmethod
    def describe(summary: Summary) -> str:
        """The numbers on one line, the headline first."""
        return "  ".join(f"{name} {value:.3f}" for name, value in summary.items())


def result_folder(workdir: epath.Path, name: str, step: int | None) -> epath.Path:
    """Where an evaluator of that name leaves its result."""
    return workdir / "evals" / name / ("final" if step is None else f"{step:06d}")


def make_evaluators(
    evals: ConfigDict,
    context: EvalContext,
    *,
    num_steps: int = 0,
    num_epochs: float = 0.0,
    on_missing: Callable[[str], None] = lambda text: None,
) -> list[ScheduledEvaluator]:
    """The evaluators of `config.evals`, in the order of their names.

    Those with `optional=True` are left out where their data is not here, and `on_missing` is told
    so.

    Raises:
        MissingData: the data of another one is not here.
        UserError: an unknown type, setting or task, an interval that cannot be read, or a type that
            needs weights where the model runs elsewhere.
    """
    settings_by_name = evaluator_settings(evals)
    evals = _with_variants(evals)
    for name, (kind, _) in settings_by_name.items():
        if context.endpoint is not None and kind in _NEED_WEIGHTS:
            raise UserError(
                f"config.evals.{name}: type {kind!r} needs the model's weights, and {context.name} "
                "is asked at an endpoint"
            )
        if kind == "judge" and jax.process_count() > 1:
            raise UserError(
                f"config.evals.{name}: a judge reads answers in one process, and this run has "
                f"{jax.process_count()}: evaluate its checkpoints with this entry afterwards"
            )
    found = []
    for name, (kind, settings) in settings_by_name.items():
        every = _interval(name, evals[name].get("every", 0), num_steps, num_epochs)
        try:
            evaluator = _TYPES[kind](settings, context)
        except MissingData as error:
            if not evals[name].get("optional", False):
                raise
            on_missing(f"config.evals.{name} is left out: {error}")
            continue
        first = bool(evals[name].get("first", False))
        found.append(ScheduledEvaluator(name=name, evaluator=evaluator, every=every, first=first))
    return found


def evaluator_settings(evals: ConfigDict) -> dict[str, tuple[str, Any]]:
    """The type of each entry of `config.evals` and its settings, a value of `Settings`.

    `vary=dict(num_shots=(0, 4), extraction=("v1.3", "strip"))` in an entry adds one for each value,
    with that one field changed: NAME_num_shots_0 and so on, which reports set side by side.

    Raises:
        UserError: an unknown type or setting, or one that is missing or makes no sense.
    """
    read = {}
    evals = _with_variants(evals)
    for name in evals:
        kind = _kind(name, evals[name])
        entry = plain_dict(evals[name])
        own = {key: value for key, value in entry.items() if key not in _SCHEDULE_FIELDS}
        read[name] = kind, _settings(name, kind, own)
    return read


def _with_variants(evals: ConfigDict) -> ConfigDict:
    """The entries without `vary`, and an entry more for each value that it names."""
    entries: dict[str, dict[str, Any]] = {}
    for name in evals:
        entry = plain_dict(evals[name])
        vary = entry.pop(_VARY, None) or {}
        if not isinstance(vary, dict):
            raise UserError(
                f"config.evals.{name}.vary={vary!r}: it takes fields with their values, such as "
                "dict(num_shots=(0, 4))"
            )
        entries[name] = entry
        for field, values in vary.items():
            if not isinstance(values, list | tuple) or not values:
                raise UserError(
                    f"config.evals.{name}.vary.{field}={values!r}: it takes a list of values"
                )
            for value in values:
                label = re.sub(r"[^\w-]+", "_", str(value)).strip("_")
                entries[f"{name}_{field}_{label}"] = {**entry, field: value}
    return ConfigDict(entries)


def set_everywhere(evals: ConfigDict, **values: Any) -> None:
    """Sets fields in all entries of `config.evals` whose type has them."""
    with evals.unlocked():
        for name in evals:
            known = _field_names(_kind(name, evals[name]))
            evals[name].update({key: value for key, value in values.items() if key in known})


def _kind(name: str, entry: ConfigDict) -> str:
    kind = entry.get("type", "")
    if kind not in _TYPES:
        near = difflib.get_close_matches(kind, _TYPES, n=1) or list(_TYPES)
        raise UserError(
            f"config.evals.{name}.type={kind!r} is no evaluator; did you mean {near[0]!r}?"
        )
    return kind


def _field_names(kind: str) -> list[str]:
    return [field.name for field in dataclasses.fields(_TYPES[kind].Settings)]


def _settings(name: str, kind: str, settings: Mapping[str, Any]) -> Any:
    known = _field_names(kind)
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or known
            raise UserError(
                f"config.evals.{name}.{key} is no setting of {kind!r}; did you mean {near[0]!r}?"
            )
    for field in dataclasses.fields(_TYPES[kind].Settings):
        if field.default is dataclasses.MISSING and field.name not in settings:
            raise UserError(f"config.evals.{name}.{field.name} is missing: {kind!r} needs it")
    for key, hint in typing.get_type_hints(_TYPES[kind].Settings).items():
        if key in settings and not _fits(settings[key], hint):
            takes = next(words for type_, words in _TAKES.items() if _is_kind(hint, type_))
            raise UserError(f"config.evals.{name}.{key}={settings[key]!r}: it takes {takes}")
    try:
        return _TYPES[kind].Settings(**settings)
    except UserError as error:
        raise UserError(f"config.evals.{name}: {error}") from error


def _fits(value: Any, hint: Any) -> bool:
    if _is_kind(hint, tuple):
        return isinstance(value, (tuple, list)) and all(isinstance(part, str) for part in value)
    if _is_kind(hint, dict):
        return isinstance(value, dict)
    if _is_kind(hint, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if _is_kind(hint, int):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, bool if _is_kind(hint, bool) else str)


def _is_kind(hint: Any, kind: type) -> bool:
    """Whether values of a type hint are of this kind; a choice of words is a text."""
    origin = typing.get_origin(hint)
    return hint is kind or origin is kind or (origin is typing.Literal and kind is str)


def _interval(name: str, every: int | str, num_steps: int, num_epochs: float) -> float:
    """Steps between two evaluations, at least one."""
    if isinstance(every, int):
        return every
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*(%|epochs?)", str(every).strip())
    if found is None or not float(found[1]) > 0:
        raise UserError(
            f"config.evals.{name}.every={every!r}: write steps (100), a share of the run ('25%'), "
            "or epochs ('0.5 epochs')"
        )
    share = float(found[1]) / (100 if found[2] == "%" else num_epochs or 1.0)
    return max(1.0, num_steps * share)
