"""Scores samples by a library that needs torch; runs in an environment of its own.

    python -P environment_worker.py METRIC < samples.jsonl > scores.txt

A sample is `{"prediction", "reference"}`, for COMET `"source"` too; a score is a number on a line.
When it fails, the last line of its standard error says why.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

Samples = list[dict[str, str]]


def bert_score_ja_f1(samples: Samples) -> list[float]:
    """BERTScore's F1 for Japanese, by the library's model for other languages than English."""
    return _bert_score(samples, "ja")


def bert_score_en_f1(samples: Samples) -> list[float]:
    """BERTScore's F1 for English, by roberta-large."""
    return _bert_score(samples, "en")


def _bert_score(samples: Samples, language: str) -> list[float]:
    from bert_score import score

    predictions, references = ([s[name] for s in samples] for name in ("prediction", "reference"))
    # On the CPU: the accelerator is the evaluated model's.
    _, _, f1 = score(predictions, references, lang=language, device="cpu")
    return f1.tolist()


def comet_wmt22(samples: Samples) -> list[float]:
    """Unbabel/wmt22-comet-da in batches of 8, as llm-jp-eval asks it."""
    from comet import download_model, load_from_checkpoint

    model = load_from_checkpoint(download_model("Unbabel/wmt22-comet-da"))
    triples: list[dict[str, Any]] = [
        {"src": s["source"], "mt": s["prediction"], "ref": s["reference"]} for s in samples
    ]
    return model.predict(triples, batch_size=8, gpus=0, progress_bar=False).scores


def main() -> None:
    """Scores the lines of standard input."""
    scores = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no score
    samples = [json.loads(line) for line in sys.stdin]
    metrics = {
        metric.__name__: metric for metric in (bert_score_ja_f1, bert_score_en_f1, comet_wmt22)
    }
    try:
        values = metrics[sys.argv[1]](samples)
    except Exception as error:
        told = str(error).strip().splitlines()
        sys.exit(f"{type(error).__name__}: {told[0] if told else 'it says no more'}")
    for value in values:
        print(float(value), file=scores)


if __name__ == "__main__":
    main()
