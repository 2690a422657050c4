"""Which evaluators run at which step, from `config.evals`."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Protocol

from etils import epath
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.generate import GenerateEvaluator
from jaxllm.evaluators.loss import LossEvaluator
from jaxllm.evaluators.majority import MajorityEvaluator
from jaxllm.evaluators.score import ScoreEvaluator
from jaxllm.models.decoder import Params

Summary = dict[str, float]

_SCHEDULE_FIELDS = ("type", "every", "first")


class Evaluator(Protocol):
    """Scores weights, writes results under `folder` and returns numbers, the headline first."""

    Settings: Any

    def __init__(self, settings: Any, context: EvalContext) -> None: ...

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> Summary: ...


_TYPES: dict[str, type[Evaluator]] = {
    "generate": GenerateEvaluator,
    "loss": LossEvaluator,
    "majority": MajorityEvaluator,
    "score": ScoreEvaluator,
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ScheduledEvaluator:
    """An evaluator with its name and its steps."""

    name: str
    evaluator: Evaluator
    every: int
    first: bool

    def is_due(self, step: int, last_step: int) -> bool:
        """Whether it runs after `step` steps (0: before the first)."""
        if step == 0:
            return self.first
        return step == last_step or (self.every > 0 and step % self.every == 0)

    def run(
        self, params: Params, *, step: int | None, tokens: int | None, workdir: epath.Path
    ) -> Summary:
        """Evaluates into WORKDIR/evals/NAME/STEP (`final` where there are no steps)."""
        place = "final" if step is None else f"{step:06d}"
        folder = workdir / "evals" / self.name / place
        return self.evaluator(params, step=step, tokens=tokens, folder=folder)

    def describe(self, summary: Summary) -> str:
        """The numbers on one line, the headline first."""
        return "  ".join(f"{name} {value:.3f}" for name, value in summary.items())


def make_evaluators(
    evals: ConfigDict, context: EvalContext, *, num_steps: int = 0
) -> list[ScheduledEvaluator]:
    """The evaluators of `config.evals`, in the order of their names.

    Raises:
        UserError: an unknown type, setting or task, or an interval that cannot be read.
    """
    evaluators = []
    for name in evals:
        settings = dict(evals[name])
        kind = settings.get("type", "")
        if kind not in _TYPES:
            near = difflib.get_close_matches(kind, _TYPES, n=1) or list(_TYPES)
            raise UserError(
                f"config.evals.{name}.type={kind!r} is no evaluator; did you mean {near[0]!r}?"
            )
        own = {key: value for key, value in settings.items() if key not in _SCHEDULE_FIELDS}
        evaluators.append(
            ScheduledEvaluator(
                name=name,
                evaluator=_make(name, kind, own, context),
                every=_interval(name, settings.get("every", 0), num_steps),
                first=bool(settings.get("first", False)),
            )
        )
    return evaluators


def _make(name: str, kind: str, settings: Mapping[str, Any], context: EvalContext) -> Evaluator:
    fields = dataclasses.fields(_TYPES[kind].Settings)
    known = [field.name for field in fields]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or known
            raise UserError(
                f"config.evals.{name}.{key} is no setting of {kind!r}; did you mean {near[0]!r}?"
            )
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in settings:
            raise UserError(f"config.evals.{name}.{field.name} is missing: {kind!r} needs it")
    return _TYPES[kind](_TYPES[kind].Settings(**settings), context)


def _interval(name: str, every: int | str, num_steps: int) -> int:
    if isinstance(every, int):
        return every
    share = str(every).strip().removesuffix("%")
    try:
        return max(1, round(num_steps * float(share) / 100))
    except ValueError:
        raise UserError(
            f"config.evals.{name}.every={every!r}: write steps (100) or a share ('25%')"
        ) from None
