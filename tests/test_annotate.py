from __future__ import annotations

import json
import re
import sys

import pytest

from jaxllm.annotation.rating import rate
from jaxllm.annotation.study import Study
from jaxllm.cli import main


@pytest.fixture
def files(tmp_path):
    """Two questions, and the answers of two models, as `jaxllm generate` has them."""
    records = {
        "in": [{"id": key, "prompt": f"{key}?", "max_new_tokens": 4} for key in "pq"],
        "base": [{"id": key, "text": "いいえ", "finish_reason": "eos"} for key in "pq"],
        "sft": [{"id": "p", "text": "はい", "finish_reason": "eos"}],
    }
    for name, lines in records.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def _new(files, *flags):
    study = files / "study"
    given = (f"--questions={files / 'in.jsonl'}", f"--answers=first={files / 'base.jsonl'}")
    return main(["annotate", "new", str(study), *given, *flags]), study


def test_from_answers_to_a_summary(files, capsys):
    (files / "read_me.txt").write_text("よく読んでください\n", encoding="utf-8")
    status, study = _new(
        files,
        f"--answers={files / 'sft.jsonl'}",
        "--axes=fluency,overall",
        "--title=題",
        f"--instructions={files / 'read_me.txt'}",
        f"--references={files / 'sft.jsonl'}",
    )
    assert status == 0
    told = capsys.readouterr().out
    assert "first: 2 of 2 questions answered\nsft: 1 of 2 questions answered\n" in told
    settings = Study(study).settings
    assert (settings.axes, settings.title) == (("fluency", "overall"), "題")
    assert settings.instructions == "よく読んでください"

    assert main(["annotate", "code", str(study), "aiko", "ben"]) == 0
    codes = dict(re.findall(r"(\w+) +([\w-]+)\n", capsys.readouterr().out)[:2])
    assert list(codes) == ["aiko", "ben"]
    opened = Study(study)
    for code in codes.values():
        for position in (1, 2, 3):
            rate(opened, opened.log_in(code), position, "overall", "4")

    assert main(["annotate", "export", str(study), f"--out={files / 'all.jsonl'}"]) == 0
    assert "6 rated tasks in" in capsys.readouterr().out
    # The summary of a study and that of its export are one.
    summaries = []
    for source in (study, files / "all.jsonl"):
        assert main(["annotate", "summary", str(source), "--json"]) == 0
        summaries.append(json.loads(capsys.readouterr().out))
    assert summaries[0] == summaries[1]
    assert summaries[0]["axes"]["overall"]["models"]["sft"]["mean"] == 4
    assert main(["annotate", "summary", str(study)]) == 0
    assert "sft" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags, reason",
    [
        (["--answers=x=none.jsonl"], "cannot read none.jsonl"),
        (["--axes=beauty"], "there is no axis 'beauty'"),
        (["--kind=pairwise"], "give --answers at least twice"),
        (["--instructions=none.txt"], "cannot read none.txt"),
    ],
)
def test_what_cannot_be_a_study_is_told_in_one_line(files, capsys, flags, reason):
    status, study = _new(files, *flags)
    assert status == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert not study.exists()


def test_serving_says_what_is_missing(files, capsys, monkeypatch):
    _, study = _new(files)
    serve = ["annotate", "serve", str(study)]
    assert main([*serve, "--host=0.0.0.0"]) == 2
    assert "--public_name=NAME" in capsys.readouterr().err
    assert main([*serve, "--port=70000"]) == 2
    assert "cannot listen on 127.0.0.1, port 70000" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "jaxllm.annotation.serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(serve) == 2
    assert "pip install 'jaxllm[annotate]'" in capsys.readouterr().err
