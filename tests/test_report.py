from __future__ import annotations

import json
import subprocess
import sys

import pytest

import jaxllm
from jaxllm.cli import main
from jaxllm.observe.writer import Writer
from jaxllm.reporting.results import write_result
from jaxllm.reporting.statistics import mean_interval


def _write(folder, kind, scores, step=None):
    interval = mean_interval(scores)
    measured = {"mean": interval.mean, "interval": [interval.low, interval.high]}
    task = {
        "category": "NLI",
        "headline": "exact_match",
        "num_samples": len(scores),
        "metrics": {"exact_match": measured},
    }
    lines = [
        {
            "id": str(index),
            "prompt": "前提",
            "output": "含意",
            "prediction": "含意",
            "gold": "含意",
            "scores": {"exact_match": float(score)},
        }
        for index, score in enumerate(scores)
    ]
    record = {
        "suite": "mini/v1",
        "split": "test",
        "model": {"name": "small"},
        "run": {"kind": kind, "step": step},
        "tasks": {"mini/v1:nli": task},
        "categories": {"NLI": measured},
        "average": {"name": "AVR", **measured, "missing": []},
    }
    write_result(folder, record, {"mini/v1:nli": lines})


@pytest.fixture
def runs(tmp_path):
    for kind in ("majority", "control", "base"):
        _write(tmp_path / kind, kind, [0, 1] * 10)
    for step in (10, 20):
        _write(tmp_path / "run" / "evals" / "mini" / f"{step:06d}", "sft", [1] * 20, step)
    with Writer(tmp_path / "run") as writer:
        for step in range(1, 21):
            writer.scalars(step, {"loss": 2.0 / step})
    return tmp_path


def test_prints_a_table_with_a_row_for_each_run(runs, capsys):
    assert main(["report", str(runs)]) == 0
    out = capsys.readouterr().out
    for label in ("majority answer", "blanked", "before tuning", "step 20"):
        assert label in out
    assert "step 10" not in out
    assert main(["report", str(runs), "--all_steps"]) == 0
    assert "step 10" in capsys.readouterr().out


def test_json_holds_tables_and_verdicts(runs, capsys):
    assert main(["report", str(runs), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == jaxllm.report([runs])
    assert len(summary["tables"][0]["rows"]) == 4
    (tuned,) = summary["learned"]
    assert tuned["categories"][0]["learned"] is True
    assert tuned["categories"][0]["gains"]["base"]["low"] > 0
    assert tuned["against"]["control"] == "small, blanked input"


def test_the_page_carries_the_runs_training_loss(runs, tmp_path):
    jaxllm.report([runs], html=tmp_path / "new" / "page.html")
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert '"losses":[{"label":"run","steps":[1,2,3' in page
    assert 'data-chart="loss"' in page


def test_damaged_folders_are_named_left_out_and_no_failure(runs, tmp_path, capsys):
    (runs / "base" / "result.json").write_text("{")
    (runs / "run" / "metrics" / "000000.jsonl").write_text("oops\n")
    assert main(["report", str(runs), f"--html={tmp_path / 'page.html'}"]) == 0
    out, err = capsys.readouterr()
    assert "left out:" in err
    assert str(runs / "base") in err
    assert "before tuning" not in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "base/result.json: not JSON" in page
    assert "000000.jsonl, line 1" in page


def test_nothing_readable_is_the_users_error_with_every_reason(runs, capsys):
    (runs / "base" / "result.json").write_text("{")
    assert main(["report", str(runs / "base")]) == 2
    err = capsys.readouterr().err
    assert "no readable result" in err
    assert "not JSON" in err
    assert main(["report", str(runs / "absent")]) == 2


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "example: jaxllm report" in capsys.readouterr().out


def test_reports_without_jax(runs, tmp_path):
    code = f"import sys, jaxllm; jaxllm.report([{str(runs)!r}], html={str(tmp_path / 'p')!r});"
    code += "sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
