"""How scores come from an environment of their own: the worker is ours, its libraries are fakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from jaxllm.cli import main
from jaxllm.errors import UserError
from jaxllm.metrics import MissingMetric, environments, get_metric

_BERT_SCORE = """
import os
print("a library that talks")
def score(predictions, references, lang, device):
    assert device == "cpu" and "PYTHONPATH" in os.environ
    class F1(list):
        def tolist(self):
            return list(self)
    found = [float(p == r) if lang == "ja" else 0.5 for p, r in zip(predictions, references)]
    return None, None, F1(found)
"""
_COMET = """
import types
def download_model(name):
    if not HERE:
        raise OSError("cannot reach the hub\\nand more")
    return "/weights/" + name
class Model:
    def predict(self, data, batch_size, gpus, progress_bar):
        assert (batch_size, gpus) == (8, 0)
        scores = [len(d["src"]) / 10 + (d["mt"] == d["ref"]) for d in data]
        return types.SimpleNamespace(scores=scores)
def load_from_checkpoint(path):
    assert path == "/weights/Unbabel/wmt22-comet-da"
    return Model()
"""


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A function that makes an environment with a fake library: `environment("comet", code)`."""
    monkeypatch.setenv("JAXLLM_METRICS_DIR", str(tmp_path / "metrics"))

    def make(name: str, code: str, pins: str = "") -> Path:
        folder = tmp_path / "metrics" / name
        (folder / "bin").mkdir(parents=True)
        (folder / "fake").mkdir()
        (folder / "fake" / f"{name}.py").write_text(code)
        python = folder / "bin" / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH={folder}/fake exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        installed = json.dumps(environments.ENVIRONMENTS[name].installs)
        (folder / "installed.json").write_text(pins or installed)
        return folder

    return make


def test_bert_score_gets_normalised_pairs_and_gives_a_score_each(environment):
    environment("bert_score", _BERT_SCORE)
    scores = get_metric("bert_score_ja_f1")(["ＡＢ", "猫\n犬"], ["AB", "猫"])
    assert scores.per_sample == (1.0, 0.0)
    assert get_metric("bert_score_en_f1")(["a", "\ud800"], ["a", "b"]).mean == 0.5


def test_comet_gets_the_sources_too(environment):
    environment("comet", f"HERE = True\n{_COMET}")
    metric = get_metric("comet_wmt22")
    assert metric(["a", "b"], ["a", "c"], sources=["12", "123"]).per_sample == (1.2, 0.3)
    with pytest.raises(UserError, match="give the source texts"):
        metric(["a"], ["a"])
    with pytest.raises(ValueError, match="1 predictions, 2 sources"):
        metric(["a"], ["a"], sources=["1", "2"])


def test_score_reads_the_source_of_each_line(environment, tmp_path, capsys):
    environment("comet", f"HERE = True\n{_COMET}")
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prediction": "a", "reference": "a", "source": "12"}\n')
    assert main(["score", "--metric=comet_wmt22", f"--in={path}"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 1.2
    path.write_text('{"prediction": "a", "reference": "a"}\n')
    assert main(["score", "--metric=comet_wmt22", f"--in={path}"]) == 2
    assert "no field 'source'" in capsys.readouterr().err


def test_a_model_that_cannot_be_had_is_a_missing_score_with_the_reason(environment):
    environment("comet", f"HERE = False\n{_COMET}")
    with pytest.raises(MissingMetric, match=r"OSError: cannot reach the hub; .*HF_HOME"):
        get_metric("comet_wmt22")(["a"], ["a"], sources=["b"])


def test_a_library_that_dies_or_loses_scores_is_a_missing_score(environment):
    environment("bert_score", "import os\nos._exit(9)")
    with pytest.raises(MissingMetric, match="status 9"):
        get_metric("bert_score_ja_f1")(["a"], ["a"])


def test_an_environment_that_is_not_there_or_too_old_says_how_to_make_it(environment):
    with pytest.raises(MissingMetric, match="environment of its own: jaxllm metrics install comet"):
        get_metric("comet_wmt22")
    environment("comet", "", pins="[]")
    with pytest.raises(MissingMetric, match="other versions"):
        get_metric("comet_wmt22")


@pytest.mark.slow
def test_install_makes_a_virtual_environment_and_marks_it_last(environment, monkeypatch, capfd):
    folder = environment("comet", "", pins="[]")
    empty = environments.Environment(installs=(("--no-index", "pip"),), models="none")
    monkeypatch.setitem(environments.ENVIRONMENTS, "comet", empty)
    assert main(["metrics", "install", "comet"]) == 0
    assert capfd.readouterr().out.startswith(f"comet: {folder}\n")
    assert environments.why_missing("comet") == ""
    assert not (folder / "fake").exists()
    absent = environments.Environment(installs=(("--no-index", "jaxllm-nowhere"),), models="none")
    monkeypatch.setitem(environments.ENVIRONMENTS, "comet", absent)
    assert main(["metrics", "install", "comet"]) == 2
    assert "ended with status 1" in capfd.readouterr().err
    assert "jaxllm metrics install comet" in environments.why_missing("comet")


def test_the_list_says_what_is_missing_and_why(environment, capsys):
    environment("bert_score", _BERT_SCORE)
    assert main(["metrics", "list"]) == 0
    assert "ool " in (told := capsys.readouterr().out)
    assert "smaller is better" in told
    assert main(["metrics", "list", "--json"]) == 0
    reasons = json.loads(capsys.readouterr().out)
    assert reasons["bert_score_ja_f1"] is None
    assert "jaxllm metrics install comet" in reasons["comet_wmt22"]
