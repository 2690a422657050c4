"""Metrics: lists of predictions and references in, a mean and a score per sample out.

    from jaxllm.metrics import get_metric

    get_metric("char_f1")(["東京"], ["東京都"])  # Scores(mean=0.8, per_sample=(0.8,))

Every score lies on a 0-1 scale, BLEU and chrF too (correlations: -1 to 1), so that means over tasks
never mix scales. Nothing here imports jax.
"""

from __future__ import annotations

from jaxllm.metrics.registry import MissingMetric, get_metric, metric_names
from jaxllm.metrics.scores import Scores

__all__ = ["MissingMetric", "Scores", "get_metric", "metric_names"]
