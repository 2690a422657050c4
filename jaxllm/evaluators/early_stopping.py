"""When a run ends before its last step: the metric it is judged by has stopped getting better."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxllm.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStoppingSettings:
    """`config.early_stopping`, over the metric and mode of `config.checkpoint.best_*`.

    The run ends after `patience` evaluations in a row that were not better than the best by more
    than `min_delta`; a `patience` of 0 never ends it.
    """

    patience: int = 0
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 0 or self.min_delta < 0:
            raise UserError(
                f"config.early_stopping: patience={self.patience} and min_delta={self.min_delta} "
                "must be 0 or more"
            )


class EarlyStopping:
    """Counts the evaluations since the best one.

    Args:
        metric: an entry of the scores observed, such as `eval/held_out/loss`.
        mode: "max" or "min".
        saved: the `state` of the run that is gone on with.

    Raises:
        UserError: a patience without a metric.
    """

    def __init__(
        self,
        settings: EarlyStoppingSettings,
        *,
        metric: str,
        mode: str,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        if settings.patience and not metric:
            raise UserError(
                f"config.early_stopping.patience={settings.patience} and no "
                "config.checkpoint.best_metric: name the metric, such as eval/held_out/loss"
            )
        self._settings, self._metric = settings, metric
        self._sign = 1.0 if mode == "max" else -1.0
        self._best: float | None = None if saved is None else saved["best"]
        self._stale: int = 0 if saved is None else saved["stale"]

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"best": self._best, "stale": self._stale}

    @property
    def is_over(self) -> bool:
        """Whether the run should end."""
        return 0 < self._settings.patience <= self._stale

    @property
    def reason(self) -> str:
        """Why it is over."""
        return f"{self._stale} evaluations of {self._metric} and none better than {self._best}"

    def observe(self, scores: Mapping[str, float]) -> None:
        """Takes note of an evaluation; scores without the metric change nothing."""
        if self._metric not in scores:
            return
        score = scores[self._metric]
        if self._best is None or self._sign * (score - self._best) > self._settings.min_delta:
            self._best, self._stale = score, 0
        else:
            self._stale += 1
