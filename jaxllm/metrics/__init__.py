"""Metrics: lists of predictions and references in, a mean and a score per sample out.

    from jaxllm.metrics import get_metric

    get_metric("char_f1")(["東京"], ["東京都"])  # Scores(mean=0.8, per_sample=(0.8,))

Scores lie on the scale of their library and of the published tables: 0-100 for BLEU and chrF, -1 to
1 for correlations, 0-1 for all others; `Scores.maximum` says which. Nothing here imports jax.
"""

from __future__ import annotations

from jaxllm.metrics.command import main
from jaxllm.metrics.registry import MissingMetric, get_metric, metric_names, takes_sources
from jaxllm.metrics.scores import Scores

__all__ = ["MissingMetric", "Scores", "get_metric", "main", "metric_names", "takes_sources"]
