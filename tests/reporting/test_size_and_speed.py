"""Intervals by simulation over the sizes that evaluations have, and a report of many models."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from etils import epath

from jaxllm.reporting.readers import read_material
from jaxllm.reporting.site.build import write_site
from jaxllm.reporting.statistics import mean_interval, mean_of
from jaxllm.reporting.views import ViewOptions, leaderboards

pytestmark = pytest.mark.slow

_EVALUATIONS = 2_000
_MODELS, _TASKS, _SAMPLES = 50, 60, 100


def _binary(generator, count):
    rate = generator.uniform(0.03, 0.97)
    return (generator.random(count) < rate).astype(float), rate


def _graded(generator, count):
    """Wholly wrong, wholly right, or anything between."""
    wrong, right = generator.uniform(0.05, 0.5), generator.uniform(0.05, 0.4)
    kind, between = generator.random(count), generator.beta(2, 2, size=count)
    scores = np.where(kind < wrong, 0.0, np.where(kind > 1 - right, 1.0, between))
    return scores, right + (1 - wrong - right) / 2


@pytest.mark.parametrize("draw", [_binary, _graded])
@pytest.mark.parametrize("count", [20, 50, 100, 300, 1_000])
def test_intervals_of_tasks_and_of_their_mean_hold_their_level(draw, count):
    generator = np.random.default_rng(count)
    covered = of_mean = 0
    for _ in range(_EVALUATIONS):
        drawn = [draw(generator, count) for _ in range(3)]
        parts = [mean_interval(scores) for scores, _ in drawn]
        covered += sum(
            part.low <= truth <= part.high for part, (_, truth) in zip(parts, drawn, strict=True)
        )
        together = mean_of(parts)
        of_mean += together.low <= np.mean([truth for _, truth in drawn]) <= together.high
    low, high = (0.92, 0.98) if count < 100 else (0.93, 0.97)
    assert low <= covered / (3 * _EVALUATIONS) <= high
    assert low <= of_mean / _EVALUATIONS <= high


def _write_model(folder, number):
    """A result folder as an evaluation leaves it, written by hand for speed."""
    generator = np.random.default_rng(number)
    (folder / "samples").mkdir(parents=True)
    tasks, categories = {}, {}
    for index in range(_TASKS):
        name, category = f"big/v1:t{index}", f"C{index // 6}"
        right = (generator.random(_SAMPLES) < 0.3 + 0.01 * number).astype(float)
        interval = mean_interval(right)
        lines = [
            json.dumps(
                {
                    "id": f"{index}-{sample}",
                    "prompt": "問い" * 60,
                    "output": "答え",
                    "prediction": "答え",
                    "gold": "正解",
                    "scores": {"exact_match": value},
                },
                ensure_ascii=False,
            )
            for sample, value in enumerate(right)
        ]
        (folder / "samples" / f"big_v1_t{index}.jsonl").write_text("\n".join(lines) + "\n")
        measured = {"mean": interval.mean, "interval": [interval.low, interval.high]}
        tasks[name] = {
            "category": category,
            "headline": "exact_match",
            "num_samples": _SAMPLES,
            "metrics": {"exact_match": {**measured, "maximum": 1.0}},
            "data_sha256": "abc",
            "num_shots": 0,
        }
        categories.setdefault(category, []).append(interval)
    means = {name: mean_of(parts) for name, parts in categories.items()}
    average = mean_of(list(means.values()))
    record = {
        "schema": "jaxllm.result/1",
        "suite": "big/v1",
        "split": "test",
        "model": {"name": f"model-{number}"},
        "run": {"kind": None, "step": None},
        "tasks": tasks,
        "categories": {
            name: {"mean": mean.mean, "interval": [mean.low, mean.high]}
            for name, mean in means.items()
        },
        "average": {
            "name": "AVR",
            "mean": average.mean,
            "interval": [average.low, average.high],
            "missing": [],
            "missing_tasks": [],
        },
    }
    (folder / "result.json").write_text(json.dumps(record))


def test_fifty_models_on_sixty_tasks_are_reported_in_half_a_minute(tmp_path):
    for number in range(_MODELS):
        _write_model(tmp_path / str(number), number)
    start = time.process_time()
    material = read_material([tmp_path])
    (grid,) = leaderboards(material, ViewOptions())
    seconds = time.process_time() - start
    written = write_site(material, epath.Path(tmp_path / "site"))
    of_site = time.process_time() - start - seconds
    assert len(grid.rows) == _MODELS + 1
    assert grid.rows[0][1] == "1"
    assert written.samples == _MODELS * _TASKS * _SAMPLES
    assert seconds + of_site < 30
    print(f"{seconds:.1f} s, and {of_site:.1f} s for a site")
