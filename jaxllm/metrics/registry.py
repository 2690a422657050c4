"""Metrics by name, imported when first asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxllm.errors import UserError
from jaxllm.metrics.scores import Scores

Metric = Callable[[Sequence[str], Sequence[str]], Scores]


class MissingMetric(UserError):
    """A metric that cannot be computed here; the message says which library is missing."""


@dataclass(frozen=True)
class _Source:
    module: str
    libraries: tuple[str, ...] = ()  # import names, beyond what jaxllm itself needs
    install: str = ""


def _sacrebleu(module: str) -> _Source:
    return _Source(module, ("sacrebleu",), "pip install sacrebleu")


def _sacrebleu_with_mecab(module: str) -> _Source:
    return _Source(module, ("sacrebleu", "MeCab", "ipadic"), 'pip install "sacrebleu[ja]"')


_METRICS = {
    "bleu_compat_en": _sacrebleu("bleu_compat"),
    "bleu_compat_ja": _sacrebleu_with_mecab("bleu_compat"),
    "bleu_en": _sacrebleu("bleu"),
    "bleu_ja": _sacrebleu_with_mecab("bleu"),
    "char_f1": _Source("char_f1"),
    "chrf": _sacrebleu("chrf"),
    "corpus_bleu_en": _sacrebleu("bleu"),
    "corpus_bleu_ja": _sacrebleu_with_mecab("bleu"),
    "entity_labeling_acc": _Source("entity_labeling_acc"),
    "exact_match": _Source("exact_match"),
    "exact_match_figure": _Source("exact_match_figure"),
    "pearson": _Source("correlation"),
    "set_f1": _Source("set_f1"),
    "spearman": _Source("correlation"),
}


def metric_names() -> tuple[str, ...]:
    """The names `get_metric` knows, sorted, whether or not their libraries are installed."""
    return tuple(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of this name: `metric(predictions, references) -> Scores`.

    Raises UserError for an unknown name and MissingMetric when a library it needs is not installed.
    The metric itself raises ValueError when the two lists differ in length or are empty.
    """
    if name not in _METRICS:
        nearest = difflib.get_close_matches(name, _METRICS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(_METRICS)}"
        raise UserError(f"there is no metric {name!r}; {hint}")
    source = _METRICS[name]
    absent = [library for library in source.libraries if not importlib.util.find_spec(library)]
    if absent:
        raise MissingMetric(
            f"metric {name!r} needs {', '.join(absent)}, which is not installed: {source.install}"
        )
    function = getattr(importlib.import_module(f"jaxllm.metrics.{source.module}"), name)

    def metric(predictions: Sequence[str], references: Sequence[str]) -> Scores:
        if len(predictions) != len(references) or not predictions:
            raise ValueError(
                f"{name} wants as many predictions as references and at least one pair,"
                f" not {len(predictions)} and {len(references)}"
            )
        return function(predictions, references)

    return metric
