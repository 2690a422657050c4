"""What a metric returns, and the text normalisation llm-jp-eval puts before most of them."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one metric over a set of samples.

    `per_sample` is None where a sample alone has no score (a correlation, corpus BLEU); otherwise
    `mean` is its arithmetic mean. `maximum` is the best score there is: 100 for BLEU and chrF, as
    their library and the published tables print them, and 1 for all others. What averages or
    compares different metrics divides by it.
    """

    mean: float
    per_sample: tuple[float, ...] | None
    maximum: float = 1.0


def normalise(text: str) -> str:
    """Text in Unicode form NFKC: full-width digits and Latin letters become half-width.

    Halves of surrogate pairs, which are no text and which no library takes, become U+FFFD.
    """
    return _LONE_SURROGATE.sub("\ufffd", unicodedata.normalize("NFKC", text))


def score_each(
    score: Callable[[str, str], float],
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    maximum: float = 1.0,
) -> Scores:
    """Scores of `score(prediction, reference)` on each normalised pair, and their mean."""
    return scores_of(
        [
            score(normalise(prediction), normalise(reference))
            for prediction, reference in zip(predictions, references, strict=True)
        ],
        maximum=maximum,
    )


def scores_of(per_sample: Sequence[float], *, maximum: float = 1.0) -> Scores:
    """Scores with the arithmetic mean of these."""
    values = tuple(map(float, per_sample))
    return Scores(mean=statistics.fmean(values), per_sample=values, maximum=maximum)
