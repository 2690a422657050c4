"""set_f1: F1 over the lines of an answer, for tasks that list things."""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics.scores import Scores, score_each


def set_f1(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean over samples of the F1 between the stripped lines of prediction and reference.

    As in llm-jp-eval, repeated lines of the prediction count once and those of the reference as
    often as they stand there; an empty line is a line like any other.
    """
    return score_each(_line_f1, predictions, references)


def _line_f1(prediction: str, reference: str) -> float:
    predicted = {line.strip() for line in prediction.split("\n")}
    expected = [line.strip() for line in reference.split("\n")]
    precision = len(predicted.intersection(expected)) / len(predicted)
    recall = sum(line in predicted for line in expected) / len(expected)
    if not precision + recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)
