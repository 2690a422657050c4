from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from jaxllm.reporting.results import Result, write_result
from jaxllm.reporting.statistics import mean_interval, mean_of


@pytest.fixture
def make_result(tmp_path):
    """A function that writes a result: `make_result("base", {"NLI": [1, 0], "QA": [0.5, 0]})`."""

    def make(
        kind: str | None,
        scores: Mapping[str, Sequence[float] | None],  # None: the metric could not be computed
        *,
        folder: str = "",
        step: int | None = None,
        suite: str | None = "mini/v1",
        changes: Mapping[str, Any] | None = None,
        text: str = "答え",
    ) -> Result:
        tasks, samples, intervals = {}, {}, {}
        for category, values in scores.items():
            task = f"mini/v1:{category.lower()}"
            measured: dict[str, Any] = {"missing": "no library"}
            if values is not None:
                intervals[category] = interval = mean_interval(values)
                measured = {"mean": interval.mean, "interval": [interval.low, interval.high]}
            samples[task] = [
                {
                    "id": f"{category}-{index}",
                    "prompt": f"問い{index}",
                    "output": text,
                    "prediction": text,
                    "gold": "正解",
                    "scores": {} if values is None else {"exact_match": float(value)},
                    "finish_reason": "stop",
                }
                for index, value in enumerate([0, 0] if values is None else values)
            ]
            tasks[task] = {
                "category": category,
                "headline": "exact_match",
                "num_samples": len(samples[task]),
                "metrics": {"exact_match": measured},
                "data_sha256": "abc",
                "template": "llm_jp_v1.3",
                "num_shots": 0,
            }
        average = mean_of(list(intervals.values()))
        record = {
            "suite": suite,
            "split": "test",
            "model": {"name": "small", "num_params": 1000},
            "run": {"kind": kind, "step": step, "workdir": None},
            "tasks": tasks,
            "categories": {
                name: {"mean": interval.mean, "interval": [interval.low, interval.high]}
                for name, interval in intervals.items()
            },
            "average": {
                "name": "AVR",
                "mean": average.mean,
                "interval": [average.low, average.high],
                "missing": [name for name, values in scores.items() if values is None],
            },
        }
        if suite is None:
            record |= {"categories": {}, "average": None}
        return write_result(
            tmp_path / (folder or str(kind)), {**record, **(changes or {})}, samples
        )

    return make
