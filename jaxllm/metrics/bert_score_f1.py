"""bert_score_ja_f1 and bert_score_en_f1: BERTScore (Zhang et al. 2020, https://arxiv.org/abs/1904.09675).

By the bert-score library with its models for the two languages and without rescaling, as
llm-jp-eval has it, in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics import environments
from jaxllm.metrics.scores import Scores, normalise

_ENVIRONMENT = "bert_score"


def bert_score_ja_f1(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean BERTScore F1 of Japanese text by bert-base-multilingual-cased, about 0.6 to 1."""
    return _f1("bert_score_ja_f1", predictions, references)


def bert_score_en_f1(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Mean BERTScore F1 of English text by roberta-large, about 0.8 to 1."""
    return _f1("bert_score_en_f1", predictions, references)


def why_missing() -> str:
    """Why BERTScore cannot be had here; empty if it can."""
    return environments.why_missing(_ENVIRONMENT)


def _f1(metric: str, predictions: Sequence[str], references: Sequence[str]) -> Scores:
    samples = [
        {"prediction": normalise(prediction), "reference": normalise(reference)}
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    return environments.score_in(_ENVIRONMENT, metric, samples)
