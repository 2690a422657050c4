"""entity_labeling_acc: how many of the reference's entities the answer names (llm-jp-eval v1.0)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics.scores import Scores, score_each


def entity_labeling_acc(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean share of the reference's comma-separated items that the prediction names too."""
    return score_each(_recall, predictions, references)


def _recall(prediction: str, reference: str) -> float:
    predicted = set(prediction.split(","))
    expected = reference.split(",")
    return sum(item in predicted for item in expected) / len(expected)
