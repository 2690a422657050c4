"""What a metric returns, and the text normalisation llm-jp-eval puts before most of them."""

from __future__ import annotations

import statistics
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one metric over a set of samples.

    `per_sample` is None where a sample alone has no score (a correlation, corpus BLEU); otherwise
    `mean` is its arithmetic mean.
    """

    mean: float
    per_sample: tuple[float, ...] | None


def normalise(text: str) -> str:
    """Text in Unicode form NFKC: full-width digits and Latin letters become half-width."""
    return unicodedata.normalize("NFKC", text)


def score_each(
    score: Callable[[str, str], float], predictions: Sequence[str], references: Sequence[str]
) -> Scores:
    """Scores of `score(prediction, reference)` on each normalised pair, and their mean."""
    per_sample = tuple(
        float(score(normalise(prediction), normalise(reference)))
        for prediction, reference in zip(predictions, references, strict=True)
    )
    return Scores(mean=statistics.fmean(per_sample), per_sample=per_sample)
