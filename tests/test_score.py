from __future__ import annotations

import json
import subprocess
import sys

import pytest

import jaxllm
from jaxllm.cli import main
from jaxllm.errors import UserError


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"

    def write(*lines: str | bytes):
        joined = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        path.write_bytes(joined)
        return path

    return write


_GOOD = '{"prediction": "東京", "reference": "東京都"}'


def test_prints_one_json_object_with_mean_and_count(pairs, capsys):
    path = pairs(_GOOD, "", '{"prediction": "\\u2028a", "reference": "a", "id": 3}', "")
    assert main(["score", "--metric=char_f1", f"--in={path}"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == {"metric": "char_f1", "mean": pytest.approx(0.9), "count": 2}


def test_per_line_adds_the_scores(pairs, capsys):
    path = pairs(_GOOD, '{"prediction": "x", "reference": "y"}')
    main(["score", "--metric=char_f1", f"--in={path}", "--per_line"])
    assert json.loads(capsys.readouterr().out)["scores"] == [0.8, 0.0]


def test_per_line_is_null_for_a_metric_without_scores_of_samples(pairs):
    path = pairs(*(f'{{"prediction": "{n}", "reference": "{n * n}"}}' for n in range(3)))
    summary = jaxllm.score(path, metric="spearman", per_line=True)
    assert summary == {"metric": "spearman", "mean": 1.0, "count": 3, "scores": None}


@pytest.mark.parametrize(
    "line, reason",
    [
        ("{oops", "line 2: not JSON"),
        (b'{"prediction": "\xff", "reference": "a"}', "line 2: not JSON"),
        ('["a", "b"]', "line 2: wants"),
        ('{"prediction": "a"}', "line 2: no field 'reference'; it has prediction"),
        ('{"prediction": 3, "reference": "3"}', "line 2: field 'prediction' must be a text"),
    ],
)
def test_a_bad_line_is_named_with_file_and_reason(pairs, line, reason):
    path = pairs(_GOOD, line)
    with pytest.raises(UserError) as error:
        jaxllm.score(path, metric="exact_match")
    assert str(path) in str(error.value)
    assert reason in str(error.value)


def test_nothing_to_score_and_no_file_are_the_users_errors(pairs, tmp_path):
    with pytest.raises(UserError, match="no line to score"):
        jaxllm.score(pairs(""), metric="exact_match")
    with pytest.raises(UserError, match="cannot read"):
        jaxllm.score(tmp_path / "absent.jsonl", metric="exact_match")


def test_the_command_reports_an_error_in_one_line(pairs, capsys):
    assert main(["score", "--metric=char_f2", f"--in={pairs(_GOOD)}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_module_runs_alone_and_without_jax(pairs):
    code = f"import sys, jaxllm; jaxllm.score({str(pairs(_GOOD))!r}, metric='char_f1');"
    code += "sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bleu_is_printed_as_the_published_tables_have_it(pairs, capsys):
    line = '{"prediction": "今日は良い天気です。", "reference": "今日はいい天気です。"}'
    assert main(["score", "--metric=bleu_compat_ja", f"--in={pairs(line)}"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 90.0


def test_labels_are_given_by_commas(pairs, capsys):
    path = pairs(_GOOD, '{"prediction": "京都", "reference": "東京都"}')
    assert main(["score", "--metric=ool", "--labels=東京,東京都", f"--in={path}"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 0.5


def test_a_metric_that_cannot_be_had_says_how_to_get_it(pairs, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXLLM_METRICS_DIR", str(tmp_path))
    assert main(["score", "--metric=comet_wmt22", f"--in={pairs(_GOOD)}"]) == 2
    assert "jaxllm metrics install comet" in capsys.readouterr().err
