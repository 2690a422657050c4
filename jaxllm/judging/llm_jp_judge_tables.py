"""llm-jp-judge's evaluation folder: score_table.json and the tables beside it, in and out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.errors import UserError
from jaxllm.judging.benchmark import Benchmark, Metric, Question, Rubric
from jaxllm.judging.judgments import NO_ANSWER, Judgment
from jaxllm.judging.scores import Item, make_items, maximum_of, summarise
from jaxllm.reporting.results import to_json, write_whole_file

_MODELS = ("generation_model", "evaluation_model")
_SCORES = "score_table.json"


def write_tables(
    folder: epath.Path,
    benchmark: Benchmark,
    questions: Sequence[Question],
    judgments: Sequence[Judgment],
    *,
    model: str,
    judge: str,
) -> None:
    """Writes a benchmark's tables; rates are in percent, as there."""
    folder.mkdir(parents=True, exist_ok=True)
    names = dict(zip(_MODELS, (model, judge), strict=True))
    items = {
        metric.name: make_items(benchmark, metric, questions, judgments)
        for metric in benchmark.metrics
    }
    tables: dict[str, list[dict[str, Any]]] = {
        "score_table": [names | _scores(benchmark, items)],
        "evaluate_error_rate_table": [names | _error_rates(benchmark, judgments)],
        f"{benchmark.name}_raw_output_table": _raw(benchmark, questions, judgments),
    }
    if len({judgment.turn for judgment in judgments}) > 1:
        rating = items[benchmark.metrics[0].name]
        turns = {f"turn {turn}": _mean([i for i in rating if i.turn == turn]) for turn in (1, 2)}
        categories = {
            name: _mean([item for item in rating if item.category == name])
            for name in sorted({item.category for item in rating})
        }
        average = {"average": _mean(rating)}
        tables[f"{benchmark.name}_turn_score_table"] = [names | turns | average]
        tables[f"{benchmark.name}_category_score_table"] = [names | categories | average]
    for name, rows in tables.items():
        write_whole_file(folder / f"{name}.json", to_json(rows, indent=4))


def read_tables(
    path: str | os.PathLike[str], benchmark: Benchmark
) -> dict[tuple[str, str], list[Judgment]]:
    """A benchmark's judgments in an evaluation folder, by model and judge.

    Raises:
        UserError: the folder has none, or a table is another one.
    """
    folder = epath.Path(path)
    raw, scores = folder / f"{benchmark.name}_raw_output_table.json", folder / _SCORES
    try:
        (row,) = json.loads(scores.read_bytes())
        key = str(row["generation_model"]), str(row["evaluation_model"])
        rows = json.loads(raw.read_bytes())
        return {key: [_judgment(benchmark, record) for record in rows]}
    except OSError as error:
        raise UserError(f"{folder} has no {raw.name} and {_SCORES}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{raw}: no table as llm-jp-judge writes it ({error!r})") from error


def _scores(benchmark: Benchmark, items: Mapping[str, Sequence[Item]]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for metric in benchmark.metrics:
        scale = 100.0 if metric.kind != "mean" else 1.0
        summary = summarise(items[metric.name], maximum=maximum_of(benchmark, metric))
        value = None if summary.mean is None else scale * summary.mean
        scores[_column(benchmark, metric)] = value
    if benchmark.by_category and len(benchmark.rubrics) == 1:  # the halves of the boundary test
        for name in dict.fromkeys(item.category for item in items[benchmark.metrics[0].name]):
            half = [item for item in items[benchmark.metrics[0].name] if item.category == name]
            given = [item for item in half if not item.imputed]
            scores[f"{benchmark.name}:{name}"] = _mean(given)
    return scores


def _column(benchmark: Benchmark, metric: Metric) -> str:
    label = metric.label or metric.name
    return label if label == benchmark.name else f"{benchmark.name}:{label}"


def _mean(items: Sequence[Item]) -> float | None:
    return summarise(items, maximum=1.0).mean if items else None


def _error_rates(benchmark: Benchmark, judgments: Sequence[Judgment]) -> dict[str, float]:
    failed = sum(not judgment.text for judgment in judgments)
    unread = sum(judgment.scores is None or judgment.imputed for judgment in judgments)
    return {
        f"{benchmark.name}:api(%)": 100 * failed / len(judgments),
        f"{benchmark.name}:pattern_match(%)": 100 * unread / len(judgments),
    }


def _raw(
    benchmark: Benchmark, questions: Sequence[Question], judgments: Sequence[Judgment]
) -> list[dict[str, Any]]:
    rubrics = {rubric.name: rubric for rubric in benchmark.rubrics}
    by_id = {question.id: question for question in questions}
    rows = []
    for judgment in judgments:
        rubric, question = rubrics[judgment.rubric], by_id[judgment.question]
        row: dict[str, Any] = {"id": question.id}
        if rubric.turn > 1 or len(question.turns) > 1:
            row |= {
                "category": question.category,
                "metric": rubric.name,
                "turn": rubric.turn,
                "use reference": bool(rubric.with_reference),
                "system prompt": rubric.system,
                "prompt": judgment.prompt,
                "response": judgment.text or None,
            }
        else:
            row |= {
                "metric": _label(benchmark, rubric),
                "evaluation prompt": judgment.prompt,
                "evaluation response": judgment.text or None,
            }
        rows.append(row | _score_columns(benchmark, rubric, judgment))
    return rows


def _label(benchmark: Benchmark, rubric: Rubric) -> str:
    """What it calls the first score of a rubric."""
    score = next(iter(rubric.scales))
    return next(
        (m.label for m in benchmark.metrics if m.score == score and m.kind == "mean" and m.label),
        score,
    )


def _labels(benchmark: Benchmark, rubric: Rubric) -> dict[str, str]:
    """Its names of the scores of a rubric that gives several."""
    return {
        metric.score: metric.label
        for metric in benchmark.metrics
        if metric.kind == "mean" and metric.score in rubric.scales
    }


def _score_columns(benchmark: Benchmark, rubric: Rubric, judgment: Judgment) -> dict[str, Any]:
    scores = judgment.scores or {}
    errors = json.dumps([judgment.reason] if judgment.reason else [], ensure_ascii=False)
    if len(rubric.scales) == 1:
        columns: dict[str, Any] = {"score": scores.get(next(iter(rubric.scales)))}
    else:
        columns = {
            f"score:{label}": scores.get(score)
            for score, label in _labels(benchmark, rubric).items()
        }
    return columns | {"generate errors": "[]", "evaluation errors": errors}


def _judgment(benchmark: Benchmark, row: Mapping[str, Any]) -> Judgment:
    rubric = _rubric(benchmark, row)
    if len(rubric.scales) == 1:
        given = {next(iter(rubric.scales)): row["score"]}
    else:
        given = {
            score: row[f"score:{label}"] for score, label in _labels(benchmark, rubric).items()
        }
    text = row.get("response", row.get("evaluation response")) or ""
    scores = {name: float(value) for name, value in given.items() if value is not None}
    whole = len(scores) == len(given)
    return Judgment(
        question=str(row["id"]),
        sample=0,
        rubric=rubric.name,
        turn=int(row.get("turn", 1)),
        vote=0,
        prompt=row.get("prompt", row.get("evaluation prompt")) or "",
        text=text,
        scores=scores if whole else None,
        reason="" if whole else "no score in the file" if text else NO_ANSWER,
    )


def _rubric(benchmark: Benchmark, row: Mapping[str, Any]) -> Rubric:
    """The rubric of a row, by its name or by what it calls the score; with the reference first."""
    wanted = row.get("metric")
    for rubric in benchmark.rubrics:
        if wanted in (rubric.name, _label(benchmark, rubric)) or len(rubric.scales) > 1:
            return rubric
    raise KeyError(f"metric {wanted}")
