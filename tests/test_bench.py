"""The figures of `jaxllm bench metrics`; those of training and decoding need a model."""

from __future__ import annotations

import json

import pytest

from jaxllm.bench import bench_metrics
from jaxllm.cli import main
from jaxllm.errors import UserError


def test_metrics_are_timed_on_the_same_texts_every_time(capsys):
    figures = []
    for _ in range(2):
        flags = ["--pairs=5", "--characters=40", "--json"]
        assert main(["bench", "metrics", "char_f1", "rougeL", *flags]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    first, second = figures
    assert (first["pairs"], first["characters"]) == (5, 40)
    assert 0 < first["char_f1_mean"] == second["char_f1_mean"] < 1
    assert first["rougeL_s"] >= 0


def test_an_unknown_metric_is_the_users_error():
    with pytest.raises(UserError, match="char_f1"):
        bench_metrics(["char_f2"], pairs=1, characters=1)
