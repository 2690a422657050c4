"""`jaxllm score`: score predictions that stand in a file, without a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from etils import epath

from jaxllm.errors import UserError
from jaxllm.metrics import get_metric, metric_names, takes_sources
from jaxllm.verb import Verb, run_verb

_EXAMPLE = """\
each line of the file is a JSON object with the texts `prediction` and `reference`, and for a metric
of translations the `source` too:
  {"prediction": "東京", "reference": "東京都"}

`jaxllm metrics list` says what each metric is and what it may still need.

example: jaxllm score --metric=char_f1 --in=pairs.jsonl
  {"metric": "char_f1", "mean": 0.8, "count": 1}
"""


def score(
    path: str | epath.Path,
    *,
    metric: str,
    per_line: bool = False,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Scores a JSONL file of pairs: `{"metric", "mean", "count"}`, and `"scores"` with `per_line`.

    `scores` is None for a metric that has no score per sample; `labels` are for the metric `ool`.
    Raises UserError naming file and line for a line that is no pair, and MissingMetric.
    """
    compute = get_metric(metric)
    fields = ["prediction", "reference", *(["source"] if takes_sources(metric) else [])]
    texts = _read_texts(epath.Path(path), fields)
    predictions = texts["prediction"]
    scores = compute(predictions, texts["reference"], sources=texts.get("source"), labels=labels)
    summary: dict[str, Any] = {"metric": metric, "mean": scores.mean, "count": len(predictions)}
    if per_line:
        summary["scores"] = scores.per_sample and list(scores.per_sample)
    return summary


def _read_texts(path: epath.Path, fields: Sequence[str]) -> dict[str, list[str]]:
    """The texts of these fields, each in the order of the lines."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    texts: dict[str, list[str]] = {field: [] for field in fields}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            pair = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: not JSON ({error})") from error
        if not isinstance(pair, dict):
            raise UserError(f'{where}: wants {{"prediction": "...", "reference": "..."}}')
        for field in fields:
            if field not in pair:
                raise UserError(f"{where}: no field {field!r}; it has {', '.join(pair) or 'none'}")
            if not isinstance(pair[field], str):
                raise UserError(
                    f"{where}: field {field!r} must be a text in quotes, not"
                    f" {json.dumps(pair[field], ensure_ascii=False)}"
                )
            texts[field].append(pair[field])
    if not texts[fields[0]]:
        raise UserError(f"{path}: no line to score")
    return texts


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `jaxllm score` and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="jaxllm score",
        description="Score the predictions in a file and print one JSON object.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--metric", required=True, help=f"one of: {', '.join(metric_names())}")
    parser.add_argument("--in", required=True, dest="path", metavar="PAIRS.jsonl")
    parser.add_argument("--per_line", action="store_true", help="print the score of each line too")
    parser.add_argument(
        "--labels", help="for ool: the answers allowed, by commas (default: the references)"
    )
    args = parser.parse_args(argv)
    labels = None if args.labels is None else [text for text in args.labels.split(",") if text]
    summary = score(args.path, metric=args.metric, per_line=args.per_line, labels=labels)
    print(json.dumps(summary, ensure_ascii=False))
    return 0


sys.modules[__name__].__class__ = Verb  # jaxllm.score(...) calls score(...)

if __name__ == "__main__":
    sys.exit(run_verb(main))
