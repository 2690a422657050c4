"""Our results as llm-jp-eval's own result files, for what reads those.

    FOLDER/llm-jp-eval-v1.json    1.3 and 1.4: scores, outputs, config
    FOLDER/llm-jp-eval-v2.json    2.1: config, metadata, evaluation, records, scores, lang_scores

Scores are called `{dataset}_{metric}`, and a category's mean by the category. `AVG` is there only
where nothing of the suite is missing: llm-jp-eval would count what is missing as zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from jaxllm.metrics import get_metric
from jaxllm.reporting.results import Result, read_samples, to_json, write_whole_file
from jaxllm.tasks import Suite, get_suite

# llm-jp-eval's BLEU compares characters; the metric of that name here does not, so it stays out.
_METRIC_NAMES = {
    "bleu_compat_ja": "bleu_ja",
    "bleu_compat_en": "bleu_en",
    "bleu_ja": None,
    "bleu_en": None,
}
_AVERAGE = "AVG"


def write_llm_jp_eval(result: Result, shape: str) -> epath.Path:
    """Writes a result in a shape of `SHAPES` beside its result.json and returns the file's path.

    Raises DamagedResult for samples that cannot be read.
    """
    path = result.folder / f"{shape}.json"
    write_whole_file(path, f"{to_json(SHAPES[shape](result), indent=2)}\n")
    return path


def dataset_name(task: Mapping[str, Any]) -> str:
    """What llm-jp-eval calls the dataset of a task's entry: its corpus, or its file without suffix.

    >>> dataset_name({"corpus": "jsonl:data/mine.jsonl"})
    'mine'
    """
    corpus = task["corpus"]
    if ":" in corpus:
        return epath.Path(corpus.partition(":")[2]).stem
    return corpus.replace("/", "_")


def _v1(result: Result) -> dict[str, Any]:
    outputs = {
        dataset_name(task): [
            {
                "prompt": _with_placeholder(sample["prompt"], sample["input"]),
                "input": sample["input"],
                "pred": sample["prediction"],
                "gold": sample["gold"],
            }
            for sample in read_samples(result, name)
        ]
        for name, task in result.tasks.items()
        if task["num_samples"]
    }
    scores = {name: f"{value:.4f}" for name, value in _scores(result).items()}
    return {"scores": scores, "outputs": outputs, "config": _config(result)}


def _v2(result: Result) -> dict[str, Any]:
    record = result.record
    return {
        "config": _config(result),
        "metadata": {
            "model_name": record["model"]["name"],
            "generation_config": record["decode"],
        },
        "evaluation": {},
        "records": {
            dataset_name(task): _records(result, name)
            for name, task in result.tasks.items()
            if task["num_samples"]
        },
        "scores": _scores(result),
        "lang_scores": _language_scores(result),
    }


SHAPES: dict[str, Callable[[Result], dict[str, Any]]] = {
    "llm-jp-eval-v1": _v1,
    "llm-jp-eval-v2": _v2,
}


def _scores(result: Result) -> dict[str, float]:
    average, found = result.average, {}
    if average and not (average["missing"] or average["missing_tasks"]):
        found[_AVERAGE] = average["mean"]
    found |= {name: entry["mean"] for name, entry in (result.record["categories"]).items()}
    for task in result.tasks.values():
        for metric, measured in task["metrics"].items():
            theirs = _METRIC_NAMES.get(metric, metric)
            if theirs and "missing" not in measured:
                found[f"{dataset_name(task)}_{theirs}"] = measured["mean"]
    return found


def _records(result: Result, task: str) -> list[dict[str, Any]]:
    samples = list(read_samples(result, task))
    predictions = [sample["prediction"] for sample in samples]
    golds = [sample["gold"] for sample in samples]
    always = {
        theirs: get_metric(metric)(predictions, golds).per_sample or ()
        for theirs, metric in (("exact", "exact_match"), ("char_f1", "char_f1"))
    }
    return [
        {
            "input": sample["input"],
            "output": sample["output"],
            "pred": sample["prediction"],
            "true": sample["gold"],
            "prompt": sample["prompt"],
            **{name: values[index] for name, values in always.items()},
            "metadata": {"id": sample["id"], "finish_reason": sample.get("finish_reason")},
        }
        for index, sample in enumerate(samples)
    ]


def _language_scores(result: Result) -> dict[str, dict[str, float]]:
    """Categories and their mean over the tasks of each language, where the suite tells them."""
    if result.record["suite"] is None:
        return {}
    suite = get_suite(result.record["suite"])
    return {language: _means(result, suite, set(tasks)) for language, tasks in suite.parts.items()}


def _means(result: Result, suite: Suite, tasks: set[str]) -> dict[str, float]:
    headlines = {name: task["metrics"][task["headline"]] for name, task in result.tasks.items()}
    by_category: dict[str, list[float]] = {}
    for task in suite.tasks:
        measured = headlines.get(task.name, {})
        if task.name in tasks and task.category and "mean" in measured:
            share = measured["mean"] / measured.get("maximum", 1.0)
            by_category.setdefault(task.category, []).append(share)
    means = {category: statistics.fmean(values) for category, values in by_category.items()}
    wanted = {task.category for task in suite.tasks if task.name in tasks}
    averaged = [mean for name, mean in means.items() if name not in suite.not_averaged]
    if wanted <= means.keys():
        means = {_AVERAGE: statistics.fmean(averaged), **means}
    return means


def _config(result: Result) -> dict[str, Any]:
    record = result.record
    average = result.average
    whole = average and not (average["missing"] or average["missing_tasks"])
    shots = {task["num_shots"] for task in result.tasks.values()}
    names = [dataset_name(task) for task in result.tasks.values() if task["num_samples"]]
    return {
        "model": {"pretrained_model_name_or_path": record["model"].get("source")},
        "target_dataset": "all" if whole else names,
        "torch_dtype": record["model"].get("dtype"),
        "metainfo": {
            "version": record["suite"],
            "basemodel_name": record["model"]["name"],
            "data_type": record["split"],
            "num_few_shots": shots.pop() if len(shots) == 1 else None,
            "max_num_samples": record["max_samples"],
        },
        "generator": record["decode"],
        "jaxllm": {"code_version": record["code_version"]},
    }


def _with_placeholder(prompt: str, text: str) -> str:
    """The prompt with `{input}` for the question's own input, which comes last."""
    before, found, behind = prompt.rpartition(text)
    return f"{before}{{input}}{behind}" if text and found else prompt
