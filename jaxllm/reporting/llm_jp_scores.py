"""Scores in files of llm-jp-eval and llm-jp-judge, as they stand there: without samples.

    a result of llm-jp-eval     scores: {AVG, categories, DATASET_METRIC}, and outputs or records
    llm-jp-judge's folder       score_table.json: a row a model, a column a benchmark

`jaxllm evaluate --from_outputs` and `jaxllm judge --judgments` make whole results of the same
files, sample by sample.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxllm.reporting.cards import Card, published_results
from jaxllm.reporting.results import DamagedResult, Result
from jaxllm.tasks import get_suite, suite_names

SCORE_TABLE = "score_table.json"
_AVERAGE = "AVG"
_CATEGORIES = frozenset(
    category for name in suite_names() for category in get_suite(name).categories
)
_SCALES = (("mt_bench", 10.0), ("", 5.0))  # the best score of a benchmark, by how its name begins


def read_llm_jp_eval_scores(path: epath.Path) -> Result | None:
    """The scores of a result file; None for JSON that is none.

    Raises DamagedResult for one whose scores are not whole.
    """
    data = _read(path)
    if not isinstance(data, dict) or not isinstance(data.get("scores"), dict):
        return None
    if not any(isinstance(data.get(name), dict | list) for name in ("outputs", "records")):
        return None
    scores = {
        name: _number(value, f"{path}: scores.{name}") for name, value in data["scores"].items()
    }
    config = _mapping(data.get("config"))
    about = {**_mapping(config.get("metainfo")), **_mapping(data.get("metadata"))}
    version = str(about.get("version", "")).removeprefix("llm-jp-eval/").removeprefix("v")
    suite = f"llm-jp-eval/v{version}" if f"llm-jp-eval/v{version}" in suite_names() else ""
    name = about.get("model_name") or about.get("basemodel_name") or path.stem
    categories = {name: scores[name] for name in scores if name in _CATEGORIES}
    if not categories and _AVERAGE not in scores:
        raise DamagedResult(f"{path}: scores has neither {_AVERAGE} nor a category")
    score = {
        "suite": suite or "llm-jp-eval",
        "num_shots": about.get("num_few_shots"),
        "split": about.get("data_type") or "test",
        "average": scores.get(_AVERAGE),  # stands there only where every dataset was asked
        "categories": categories,
    }
    (result,) = published_results([Card(name=str(name), scores=(score,))], str(path))
    return result


def read_score_table(path: epath.Path) -> tuple[Result, ...]:
    """The judged scores of a score_table.json; raises DamagedResult for one that is no such table.

    What has no score (null) stays out.
    """
    rows = _read(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DamagedResult(f"{path}: no list of rows, as llm-jp-judge writes it")
    results: list[Result] = []
    for row in rows:
        if not isinstance(row.get("generation_model"), str):
            raise DamagedResult(f"{path}: a row has no generation_model")
        scores = [
            {
                "benchmark": column,
                "judge": row.get("evaluation_model"),
                "score": _number(value, f"{path}: {column}"),
                "maximum": _maximum(column, value),
            }
            for column, value in row.items()
            if column not in ("generation_model", "evaluation_model") and value is not None
        ]
        card = Card(name=row["generation_model"], scores=tuple(scores))
        results += published_results([card], str(path))
    return tuple(results)


def _maximum(column: str, value: float) -> float:
    if float(value) > 10 or "rate" in column or "%" in column:
        return 100.0
    return next(best for start, best in _SCALES if column.startswith(start))


def _read(path: epath.Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedResult(f"{path}: cannot be read as JSON ({error})") from error


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)  # 1.x writes numbers as texts
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DamagedResult(f"{where} is {value!r}, not a number")
    return number


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
