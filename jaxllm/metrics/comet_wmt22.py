"""comet_wmt22: translations scored by COMET (Rei et al. 2022, https://aclanthology.org/2022.wmt-1.52)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxllm.metrics import environments
from jaxllm.metrics.scores import Scores, normalise

_ENVIRONMENT = "comet"


def comet_wmt22(
    predictions: Sequence[str], references: Sequence[str], *, sources: Sequence[str]
) -> Scores:
    """Mean score by Unbabel/wmt22-comet-da of translations of the sources, about 0 to 1."""
    samples = [
        {
            "prediction": normalise(prediction),
            "reference": normalise(reference),
            "source": normalise(source),
        }
        for prediction, reference, source in zip(predictions, references, sources, strict=True)
    ]
    return environments.score_in(_ENVIRONMENT, "comet_wmt22", samples)


def why_missing() -> str:
    """Why COMET cannot be had here; empty if it can."""
    return environments.why_missing(_ENVIRONMENT)
