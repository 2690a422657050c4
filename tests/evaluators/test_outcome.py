"""From outputs to scores: runs averaged, and what cannot be scored named."""

from __future__ import annotations

import statistics

import pytest

from jaxllm.errors import UserError
from jaxllm.evaluators import outcome
from jaxllm.evaluators.outcome import answered_outcome, score_answers
from jaxllm.metrics import Scores
from jaxllm.tasks import get_task

_QUESTIONS = [
    {"id": str(index), "input": f"質問{index}", "prompt": "", "gold": gold}
    for index, gold in enumerate(("はい", "いいえ", "はい"))
]


def _task(*metrics):
    return get_task("jsonl:q.jsonl", metrics=metrics)


def _answers(*texts):
    return [{"output": text, "num_tokens": len(text)} for text in texts]


def test_outputs_are_extracted_and_scored():
    found = answered_outcome(
        _task("exact_match", "char_f1"),
        _QUESTIONS,
        [_answers(" はい\n\n次", "はい", "はい")],
        data_sha256="abc",
    )
    assert found.scores["exact_match"].per_sample == (1.0, 0.0, 1.0)
    assert found.records[0] == {
        **_QUESTIONS[0],
        "output": " はい\n\n次",
        "num_tokens": 6,
        "prediction": "はい",
        "scores": {"exact_match": 1.0, "char_f1": 1.0},
    }
    assert (found.data_sha256, found.run_means) == ("abc", {})


def test_a_samples_score_is_the_mean_of_its_runs():
    runs = [
        _answers("はい", "はい", "はい"),
        _answers("はい", "いいえ", "いや"),
        _answers("いや", "はい", "いや"),
    ]
    found = answered_outcome(_task("exact_match"), _QUESTIONS, runs, data_sha256="")
    assert found.scores["exact_match"].per_sample == pytest.approx((2 / 3, 1 / 3, 1 / 3))
    assert found.scores["exact_match"].mean == pytest.approx(4 / 9)
    assert found.run_means["exact_match"] == pytest.approx((2 / 3, 2 / 3, 0))
    assert statistics.fmean(found.run_means["exact_match"]) == pytest.approx(4 / 9)
    first, second, _ = found.records
    assert first["output"] == "はい"
    assert first["scores"] == {"exact_match": pytest.approx(2 / 3)}
    assert [run["prediction"] for run in second["runs"]] == ["はい", "いいえ", "はい"]
    assert [run["scores"]["exact_match"] for run in second["runs"]] == [0.0, 1.0, 0.0]


def test_a_metric_over_the_whole_set_has_a_mean_for_each_run():
    questions = [{**question, "gold": str(index)} for index, question in enumerate(_QUESTIONS)]
    runs = [_answers("0", "1", "2"), _answers("2", "1", "0")]
    found = answered_outcome(_task("pearson"), questions, runs, data_sha256="")
    assert found.run_means["pearson"] == pytest.approx((1, -1))
    assert found.scores["pearson"].mean == pytest.approx(0)
    assert found.scores["pearson"].per_sample is None
    assert [record["scores"] for record in found.records] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (lambda *_, **__: 1 / 0, "it failed: ZeroDivisionError: division by zero"),
        (lambda *_, **__: Scores(mean=float("nan"), per_sample=None), "it came to nan"),
        (lambda *_, **__: (_ for _ in ()).throw(UserError("no model here")), "no model here"),
    ],
    ids=["fails", "nan", "says why"],
)
def test_a_metric_that_fails_takes_nothing_with_it(monkeypatch, capsys, metric, reason):
    get_metric = outcome.get_metric
    monkeypatch.setattr(
        outcome, "get_metric", lambda name: metric if name == "chrf" else get_metric(name)
    )
    texts = ["はい"] * 2
    scores, missing = score_answers(_task("chrf", "exact_match"), texts, texts, texts)
    assert scores["exact_match"].mean == 1.0
    assert missing["chrf"].startswith(reason)
    assert f"not scored: jsonl:q.jsonl, chrf: {reason}" in capsys.readouterr().err
