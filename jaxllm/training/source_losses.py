"""The mean loss of each source of the mixture over the steps since it was last told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class SourceLosses:
    """Adds up what steps say of each source; a source without a token in them says nothing.

    Args:
        names: of the sources, in the order of their ids.
        saved: the `state` of the run that is gone on with.
    """

    def __init__(
        self, names: Sequence[str], saved: Sequence[Sequence[float]] | None = None
    ) -> None:
        self._names = names
        self._sums = np.zeros((2, len(names))) if saved is None else np.array(saved)

    @property
    def state(self) -> list[list[float]]:
        """What a checkpoint keeps of it."""
        return self._sums.tolist()

    def add(self, metrics: dict[str, Any]) -> None:
        """Takes the metrics of a step on the host, and out of them what nobody else wants.

        `source_losses` and `source_weights` [sources] are shares of the step's `weight`.
        """
        weight = float(metrics.pop("weight"))
        shares = metrics.pop("source_losses"), metrics.pop("source_weights")
        self._sums += np.array(shares, np.float64) * weight

    def read(self) -> dict[str, float]:
        """`loss/SOURCE` of each source, weighted over the steps; they begin anew."""
        losses, weights = self._sums
        self._sums = np.zeros_like(self._sums)
        return {
            f"loss/{name}": float(loss / weight)
            for name, loss, weight in zip(self._names, losses, weights, strict=True)
            if weight > 0
        }
