"""The operations that the examples of a plan's steps need, counted on paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxllm.input.plan import Plan
from jaxllm.input.tokens import TokenizedSource
from jaxllm.observe.flops import Sizes, attention_flops, logits_flops, matmul_flops_per_token


class PlanFlops:
    """Forward operations of a model of these sizes for any stretch of a plan's steps.

    Every example by itself: its tokens through all layers, causal attention over it, the output
    projection where it carries loss. Padding costs nothing here.
    """

    def __init__(self, sizes: Sizes, plan: Plan, sources: Sequence[TokenizedSource]) -> None:
        self._plan = plan
        self._by_source = [_per_example(sizes, source) for source in sources]

    def forward(self, steps: range) -> float:
        """Operations of steps that follow one another."""
        if not steps:
            return 0.0
        rows = self._plan.rows_per_step
        first, stop = (self._plan.row_offsets[step * rows] for step in (steps.start, steps.stop))
        source_ids = self._plan.source_ids[first:stop]
        examples = self._plan.example_ids[first:stop]
        return sum(
            float(flops[examples[source_ids == source]].sum())
            for source, flops in enumerate(self._by_source)
        )


def _per_example(sizes: Sizes, source: TokenizedSource) -> np.ndarray:
    positions = source.lengths.astype(np.float64) - 1  # the last token predicts nothing
    pairs = positions * (positions + 1) / 2
    trained = np.add.reduceat(source.loss_weights > 0, source.offsets[:-1], dtype=np.int64)
    return (
        positions * matmul_flops_per_token(sizes)
        + pairs * attention_flops(sizes, [1])
        + trained * logits_flops(sizes, 1)
    )
