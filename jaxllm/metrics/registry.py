"""Metrics by name, imported when first asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from jaxllm.errors import UserError
from jaxllm.metrics.scores import Scores


class Metric(Protocol):
    """What `get_metric` returns; the lists have one entry a sample.

    `sources` are the texts that were translated, for a metric that reads them, and `labels` the
    answers that are allowed, for `ool`; other metrics pay no heed to them.
    """

    def __call__(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        *,
        sources: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
    ) -> Scores: ...


class MissingMetric(UserError):
    """A metric that cannot be computed here; the message says what is missing, and the remedy."""


@dataclass(frozen=True)
class _Source:
    module: str
    libraries: tuple[str, ...] = ()  # import names, beyond what jaxllm itself needs
    install: str = ""
    takes: tuple[str, ...] = ()  # arguments beyond predictions and references


def _sacrebleu(module: str) -> _Source:
    return _Source(module, ("sacrebleu",), "pip install sacrebleu")


def _sacrebleu_with_mecab(module: str) -> _Source:
    return _Source(module, ("sacrebleu", "MeCab", "ipadic"), 'pip install "sacrebleu[ja]"')


_METRICS = {
    "bert_score_en_f1": _Source("bert_score_f1"),
    "bert_score_ja_f1": _Source("bert_score_f1"),
    "bleu_compat_en": _sacrebleu("bleu_compat"),
    "bleu_compat_ja": _sacrebleu_with_mecab("bleu_compat"),
    "bleu_en": _sacrebleu("bleu"),
    "bleu_ja": _sacrebleu_with_mecab("bleu"),
    "char_f1": _Source("char_f1"),
    "chrf": _sacrebleu("chrf"),
    "code_exec": _Source("code_exec"),
    "comet_wmt22": _Source("comet_wmt22", takes=("sources",)),
    "corpus_bleu_en": _sacrebleu("bleu"),
    "corpus_bleu_ja": _sacrebleu_with_mecab("bleu"),
    "entity_labeling_acc": _Source("entity_labeling_acc"),
    "exact_match": _Source("exact_match"),
    "exact_match_figure": _Source("exact_match_figure"),
    "json_validity": _Source("json_validity"),
    "mathematical_equivalence": _Source(
        "mathematical_equivalence",
        ("math_verify", "antlr4"),
        'pip install "math-verify[antlr4_13_2]"',
    ),
    "ool": _Source("ool", takes=("labels",)),
    "pearson": _Source("correlation"),
    "pylint_check": _Source("pylint_check", ("pylint",), "pip install pylint"),
    "rouge1": _sacrebleu_with_mecab("rouge"),
    "rouge2": _sacrebleu_with_mecab("rouge"),
    "rouge2_scaling": _sacrebleu_with_mecab("rouge"),
    "rougeL": _sacrebleu_with_mecab("rouge"),
    "set_f1": _Source("set_f1"),
    "spearman": _Source("correlation"),
}


def metric_names() -> tuple[str, ...]:
    """The names `get_metric` knows, sorted, whether or not their libraries are installed."""
    return tuple(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of this name: `metric(predictions, references) -> Scores`.

    Raises UserError for an unknown name and MissingMetric when a library, an environment or a
    sandbox it needs is not here. The metric itself raises MissingMetric when its model cannot be
    had, UserError without the sources it needs, and ValueError when the lists differ in length or
    are empty.
    """
    if reason := why_missing(name):
        raise MissingMetric(f"metric {name!r} cannot be computed here: {reason}")
    source, function = _source(name), _function(name)

    def metric(
        predictions: Sequence[str],
        references: Sequence[str],
        *,
        sources: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
    ) -> Scores:
        if len(predictions) != len(references) or not predictions:
            raise ValueError(
                f"{name} wants as many predictions as references and at least one pair,"
                f" not {len(predictions)} and {len(references)}"
            )
        more: dict[str, Any] = {}
        if "sources" in source.takes:
            if sources is None:
                raise UserError(f"{name} reads what was translated too: give the source texts")
            if len(sources) != len(predictions):
                raise ValueError(f"{name}: {len(predictions)} predictions, {len(sources)} sources")
            more["sources"] = sources
        if "labels" in source.takes:
            more["labels"] = labels
        return function(predictions, references, **more)

    return metric


def why_missing(name: str) -> str:
    """Why a metric cannot be computed here, and the remedy; empty if it can."""
    source = _source(name)
    absent = [library for library in source.libraries if not importlib.util.find_spec(library)]
    if absent:
        return f"it needs {', '.join(absent)}, which is not installed: {source.install}"
    own_reason = getattr(_module(name), "why_missing", None)
    return own_reason() if own_reason else ""


def takes_sources(name: str) -> bool:
    """Whether this metric reads the source texts too."""
    return "sources" in _source(name).takes


def describe(name: str) -> str:
    """The first sentence of what a metric is; its libraries must be here."""
    return (_function(name).__doc__ or "").split("\n")[0]


def _function(name: str) -> Callable[..., Scores]:
    return getattr(_module(name), name)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"jaxllm.metrics.{_source(name).module}")


def _source(name: str) -> _Source:
    if name not in _METRICS:
        nearest = difflib.get_close_matches(name, _METRICS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(_METRICS)}"
        raise UserError(f"there is no metric {name!r}; {hint}")
    return _METRICS[name]
