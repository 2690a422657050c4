"""Results of lm-evaluation-harness as results here, with its samples where they were logged.

    results_DATE.json             scores by task and "metric,filter", configs, counts, shots
    samples_TASK_DATE.jsonl       one line a document, with `--log_samples`

A task stands by its first metric of which more is better and whose best is 1 or 100; groups and
perplexities are left out by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxllm.reporting.results import DamagedResult, Result, with_headline_scores
from jaxllm.reporting.statistics import mean_interval

_NORMAL_95 = 1.959964


def read_lm_eval(path: epath.Path) -> tuple[Result | None, list[str]]:
    """The result in a results_DATE.json, None where it has no task; and what is left out of it.

    Raises DamagedResult for a file that is not whole or contradicts itself.
    """
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedResult(f"{path}: cannot be read as JSON ({error})") from error
    try:
        return _result(data, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DamagedResult(f"{path}: not as lm-evaluation-harness writes it: {error!r}") from error


def _result(data: Mapping[str, Any], path: epath.Path) -> tuple[Result | None, list[str]]:
    tasks, samples, left_out = {}, {}, []
    date = path.stem.removeprefix("results_")
    for name, scores in data["results"].items():
        config = data["configs"].get(name)
        if config is None:
            left_out.append(f"{path}: {name} is a group; its tasks stand by themselves")
            continue
        found = _headline(scores, config, data.get("higher_is_better", {}).get(name, {}))
        if found is None:
            left_out.append(f"{path}: {name} has no metric with a best score")
            continue
        metric, filter_name, maximum = found
        lines = _samples(path.with_name(f"samples_{name}_{date}.jsonl"), metric, filter_name)
        effective = data.get("n-samples", {}).get(name, {}).get("effective")
        if lines is not None and effective is not None and len(lines) != effective:
            raise DamagedResult(f"{path}: {len(lines)} of {effective} samples of {name} are there")
        tasks[name] = {
            "category": None,
            "headline": metric,
            "num_samples": len(lines) if lines is not None else 0,
            "metrics": {metric: _measured(scores, metric, filter_name, maximum, lines)},
            "data_sha256": data.get("task_hashes", {}).get(name),
            "corpus": name,
            "num_shots": data.get("n-shot", {}).get(name, 0),
        }
        if lines is not None:
            samples[name] = lines
        else:
            left_out.append(
                f"{path}: no samples of {name}: it compares with nothing sample by "
                "sample; lm_eval --log_samples writes them"
            )
    if not tasks:
        return None, left_out
    config = data.get("config", {})
    record = {
        "suite": None,
        "split": "test",
        "model": {
            "name": epath.Path(str(data.get("model_name") or "model")).name,
            "source": data.get("model_name"),
            "num_params": config.get("model_num_parameters"),
        },
        "run": {"kind": None, "step": None, "tokens": None},
        "config": config,
        "tasks": tasks,
        "categories": {},
        "average": None,
    }
    return with_headline_scores(Result(folder=path, record=record, samples=samples)), left_out


def _headline(
    scores: Mapping[str, Any], config: Mapping[str, Any], better: Mapping[str, bool]
) -> tuple[str, str, float] | None:
    """The metric that stands for a task, its filter, and its best score."""
    listed = [entry["metric"] for entry in config.get("metric_list") or ()]
    keys = [key.split(",", 1) for key in scores if "," in key]
    for metric in dict.fromkeys((*listed, *(name for name, _ in keys))):
        for name, filter_name in keys:
            value = scores[f"{name},{filter_name}"]
            if name != metric or not better.get(metric, True) or not isinstance(value, int | float):
                continue
            if 0 <= value <= 100 and "stderr" not in name:
                return metric, filter_name, 1.0 if value <= 1 else 100.0
    return None


def _samples(path: epath.Path, metric: str, filter_name: str) -> list[dict[str, Any]] | None:
    if not path.exists():
        return None
    samples = []
    for line in path.read_bytes().splitlines():
        entry = json.loads(line)
        if entry.get("filter", "none") != filter_name:
            continue
        score = entry.get(metric)
        asked: Any = next(iter(entry.get("arguments", {}).values()), {})
        samples.append(
            {
                "id": str(entry["doc_id"]),
                "prompt": str(asked.get("arg_0", "") if isinstance(asked, dict) else asked),
                "output": _text(entry.get("resps")),
                "prediction": _text(entry.get("filtered_resps")),
                "gold": str(entry.get("target", "")),
                # A metric of the whole set has no number of its own for a sample.
                "scores": {metric: float(score)} if isinstance(score, int | float) else {},
            }
        )
    return samples


def _text(value: Any) -> str:
    """A response, unwrapped as far as it is alone."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _measured(
    scores: Mapping[str, Any],
    metric: str,
    filter_name: str,
    maximum: float,
    lines: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    mean = float(scores[f"{metric},{filter_name}"])
    error = scores.get(f"{metric}_stderr,{filter_name}")
    interval = None
    values = [line["scores"][metric] / maximum for line in lines or () if line["scores"]]
    if values and all(0 <= value <= 1 for value in values):
        found = mean_interval(values)
        interval = [found.low * maximum, found.high * maximum]
    elif isinstance(error, int | float):
        interval = [mean - _NORMAL_95 * error, mean + _NORMAL_95 * error]
    return {"mean": mean, "interval": interval, "maximum": maximum}
