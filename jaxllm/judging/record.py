"""Judged answers as a result folder, so that `jaxllm report` shows them beside all others.

    FOLDER/result.json, samples/, timings.json   as jaxllm.reporting.results says
    FOLDER/answers.jsonl, judgments.jsonl        in FastChat's form, with fields of ours

A task of the result is a category where the benchmark has categories, and the benchmark otherwise;
a sample is one judged turn.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

import jaxllm
from jaxllm.chat.messages import canonical
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark, Metric, Question
from jaxllm.judging.fastchat_files import answer_lines, judgment_lines
from jaxllm.judging.files import ANSWERS, JUDGMENTS
from jaxllm.judging.judgments import Judgment
from jaxllm.judging.samples import sample_lines
from jaxllm.judging.scores import Item, Summary, make_items, maximum_of, summarise
from jaxllm.reporting.results import to_json, write_result, write_whole_file

_AVERAGE = "mean"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """A benchmark's questions with one model's answers and what a judge said of them.

    `judge` is the provenance of who judged, `data_sha256` that of the questions.
    """

    benchmark: Benchmark
    questions: Sequence[Question]
    data_sha256: str
    answers: Sequence[Answer]
    judgments: Sequence[Judgment]
    judge: Mapping[str, Any]
    votes: int


def write_judged(
    folder: epath.Path,
    judged: Judged,
    *,
    model: Mapping[str, Any],
    config: Mapping[str, Any],
    max_samples: int,
    kind: str = "",
    step: int | None = None,
    tokens: int | None = None,
    timings: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Writes the result folder and returns the headline numbers.

    Args:
        model: what result.json says of the model that answered, at least its `name`.
        config: the resolved config of the run.
    """
    items = {
        metric.name: make_items(judged.benchmark, metric, judged.questions, judged.judgments)
        for metric in judged.benchmark.metrics
    }
    record = {
        **_head(judged, model, config, max_samples),
        "run": {
            "kind": kind or None,
            "step": step,
            "tokens": tokens,
            "workdir": model.get("source"),
        },
        "tasks": {
            name: _task(judged, category, items) for name, category in _tasks(judged).items()
        },
        **_averages(judged, items),
    }
    samples = {
        name: sample_lines(
            judged.questions,
            judged.answers,
            judged.judgments,
            {metric: _of_category(some, category) for metric, some in items.items()},
        )
        for name, category in _tasks(judged).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    name = str(model["name"])
    for file, lines in (
        (ANSWERS, answer_lines(judged.answers, name)),
        (JUDGMENTS, judgment_lines(judged.judgments, name, str(judged.judge["model"]))),
    ):
        write_whole_file(folder / file, "".join(f"{to_json(line)}\n" for line in lines))
    write_result(folder, record, samples, timings=timings)
    return headline_numbers(judged, items)


def headline_numbers(judged: Judged, items: Mapping[str, Sequence[Item]]) -> dict[str, float]:
    """Every metric's mean, the headline's by turn and category, and how many have no score."""
    numbers: dict[str, float | None] = {
        name: _summary(judged, name, some).mean for name, some in items.items()
    }
    headline = judged.benchmark.metrics[0].name
    for label, some in (*_turns(items[headline]), *_categories(judged, items[headline])):
        numbers[label] = _summary(judged, headline, some).mean
    overall = _summary(judged, headline, items[headline])
    numbers["worst case"] = overall.worst_case
    numbers["missing"] = overall.num_missing
    return {name: value for name, value in numbers.items() if value is not None}


def _head(
    judged: Judged, model: Mapping[str, Any], config: Mapping[str, Any], max_samples: int
) -> dict[str, Any]:
    benchmark = judged.benchmark
    missing = [judgment for judgment in judged.judgments if judgment.scores is None]
    made_at = [judgment.made_at for judgment in judged.judgments if judgment.made_at]
    return {
        "suite": benchmark.name if benchmark.by_category else None,
        "split": "test",
        "max_samples": max_samples,
        "model": dict(model),
        "config": config,
        "code_version": jaxllm.__version__,
        "decode": {
            **_set_fields(benchmark.answers),
            "num_runs": 1 + max((answer.sample for answer in judged.answers), default=0),
        },
        "blank_inputs": False,
        "judge": {
            **judged.judge,
            "preset": benchmark.preset or None,
            "votes": judged.votes,
            "retries": benchmark.retries,
            "sampling": _set_fields(benchmark.judge),
            "rubrics_sha256": rubrics_sha256(benchmark),
            "num_judgments": len(judged.judgments),
            "num_missing": len(missing),
            "num_imputed": sum(judgment.imputed for judgment in judged.judgments),
            "reasons": dict(collections.Counter(one.reason for one in missing).most_common()),
            "first_judgment": _date(min(made_at, default=0.0)),
            "last_judgment": _date(max(made_at, default=0.0)),
        },
    }


def rubrics_sha256(benchmark: Benchmark) -> str:
    """The digest of everything a judge is told and by which its words are read."""
    rubrics = [
        {**dataclasses.asdict(rubric), "reads": type(rubric.parser).__name__}
        for rubric in benchmark.rubrics
    ]
    return hashlib.sha256(canonical([rubrics, benchmark.lists_as_python]).encode()).hexdigest()


def _tasks(judged: Judged) -> dict[str, str | None]:
    """The names of the result's tasks, each with the category that it is of (None: all)."""
    benchmark = judged.benchmark
    if not benchmark.by_category:
        return {benchmark.name: None}
    seen = {judgment.question for judgment in judged.judgments}
    categories = dict.fromkeys(one.category for one in judged.questions if one.id in seen)
    return {f"{benchmark.name}:{category}": category for category in categories}


def _task(
    judged: Judged, category: str | None, items: Mapping[str, Sequence[Item]]
) -> dict[str, Any]:
    benchmark = judged.benchmark
    headline = benchmark.metrics[0].name
    metrics = {}
    for metric in benchmark.metrics:
        some = _of_category(items[metric.name], category)
        metrics[metric.name] = _measured(benchmark, metric, some)
    shown = _of_category(items[headline], category)
    return {
        "category": category,
        "headline": headline,
        "num_samples": len(shown),
        "num_missing": sum(item.value is None for item in shown),
        "metrics": metrics,
        "data_sha256": judged.data_sha256,
        "judge": judged.judge["model"],
        "rubrics_sha256": rubrics_sha256(benchmark),
        "preset": benchmark.preset or None,
        "instruction": benchmark.system or None,
        "max_new_tokens": benchmark.answers.max_tokens,
        "num_shots": 0,
    }


def _measured(benchmark: Benchmark, metric: Metric, items: Sequence[Item]) -> dict[str, Any]:
    maximum = maximum_of(benchmark, metric)
    if not any(item.value is not None for item in items):
        return {"missing": f"no answer of {len(items)} got a score that could be read"}
    summary = summarise(items, maximum=maximum)
    return {
        "mean": summary.mean,
        "interval": _pair(summary),
        "maximum": maximum,
        "worst_case": summary.worst_case,
        "num_scored": summary.num_scored,
        "num_missing": summary.num_missing,
    }


def _averages(judged: Judged, items: Mapping[str, Sequence[Item]]) -> dict[str, Any]:
    """Every metric over all items and the headline by turn, on their scales; shares for reports."""
    benchmark = judged.benchmark
    headline = benchmark.metrics[0]
    overall = {
        "overall": {
            metric.name: _measured(benchmark, metric, items[metric.name])
            for metric in benchmark.metrics
        },
        "turns": {
            name: _measured(benchmark, headline, some)
            for name, some in _turns(items[headline.name])
        },
    }
    if not benchmark.by_category:
        return {**overall, "categories": {}, "average": None}
    categories = {
        name: _measured(benchmark, headline, some)
        for name, some in _categories(judged, items[headline.name])
    }
    shares = {name: _share(part) for name, part in categories.items() if "mean" in part}
    average = _share(overall["overall"][headline.name])
    return {
        **overall,
        "categories": shares,
        "average": {
            "name": _AVERAGE,
            "mean": average["mean"] if average else None,
            "interval": average["interval"] if average else None,
            "missing": list(
                dict.fromkeys(
                    one.category for one in judged.questions if one.category not in shares
                )
            ),
            "missing_tasks": [],
            "parts": {
                name: _share(part)["mean"]
                for name, part in overall["turns"].items()
                if "mean" in part
            },
        },
    }


def _share(measured: Mapping[str, Any]) -> dict[str, Any]:
    """A measured metric as a share of the best there is; nothing of one that is missing."""
    if "missing" in measured:
        return {}
    maximum, interval = measured["maximum"], measured["interval"]
    return {
        "mean": measured["mean"] / maximum,
        "interval": interval and [side / maximum for side in interval],
    }


def _of_category(items: Sequence[Item], category: str | None) -> list[Item]:
    """The items of a task. A score that the judge did not give enters no category's mean."""
    if category is None:
        return list(items)
    return [
        dataclasses.replace(item, value=None) if item.imputed else item
        for item in items
        if item.category == category
    ]


def _turns(items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    turns = sorted({item.turn for item in items})
    if len(turns) == 1:
        return []
    return [(f"turn {turn}", [item for item in items if item.turn == turn]) for turn in turns]


def _categories(judged: Judged, items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    names = [category for category in _tasks(judged).values() if category is not None]
    return [(name, _of_category(items, name)) for name in names]


def _summary(judged: Judged, name: str, items: Sequence[Item]) -> Summary:
    (metric,) = (metric for metric in judged.benchmark.metrics if metric.name == name)
    return summarise(items, maximum=maximum_of(judged.benchmark, metric))


def _pair(summary: Summary) -> list[float] | None:
    return None if summary.low is None or summary.high is None else [summary.low, summary.high]


def _set_fields(value: Any) -> dict[str, Any]:
    return {
        name: part for name, part in dataclasses.asdict(value).items() if part not in (None, {})
    }


def _date(seconds: float) -> str | None:
    if not seconds:
        return None
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return moment.isoformat(timespec="seconds")
