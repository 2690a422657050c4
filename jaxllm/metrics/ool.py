"""ool: how many answers are none of the labels (out of label). Smaller is better."""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics.scores import Scores, normalise, scores_of


def ool(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
) -> Scores:
    """Share of predictions that are none of the labels after NFKC, 0-1; smaller is better.

    Without `labels` they are the references that occur. Where the list is empty, as for tasks with
    free answers, empty predictions are counted.
    """
    allowed = {normalise(label) for label in (references if labels is None else labels)}
    answers = [normalise(prediction) for prediction in predictions]
    return scores_of([answer not in allowed if allowed else not answer for answer in answers])
