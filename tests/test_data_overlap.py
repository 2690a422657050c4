"""jaxllm data overlap and jaxllm report --without_overlap, as they are typed."""

from __future__ import annotations

import json

import pytest

from jaxllm import corpora
from jaxllm.cli import main
from jaxllm.reporting.results import write_result


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A file of training examples, two of which hold test questions of mini/rc."""
    monkeypatch.setenv("JAXLLM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    asked = [row["input"] for row in corpora.load("mini/rc", "test", data_dir=tmp_path / "data")]
    records = [
        {"text": "山路を登りながら、こう考えた。"},
        {"prompt": f"答えてください。{asked[3]}", "completion": "はい"},
        {
            "messages": [
                {"role": "user", "content": asked[5]},
                {"role": "assistant", "content": "A"},
            ]
        },
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return f"jsonl:{path}"


def _ids(folder, *, least: float = 0) -> set[str]:
    samples = map(json.loads, (folder / "samples.jsonl").read_text("utf-8").splitlines())
    return {sample["id"] for sample in samples if sample["characters"] >= least}


def test_what_is_shown_and_written(planted, tmp_path, capsys):
    argv = ["data", "overlap", planted, "--against=mini/v1", f"--out={tmp_path / 'out'}"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines() if str(tmp_path) not in line)
    assert f"{planted} · 3 examples\n" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith(" mini/rc ")]
    assert row[1] == "200"
    assert int(row[2]) >= 2
    assert "mini/rc-test-5 and mine.jsonl:3" in out or "mini/rc-test-3 and mine.jsonl:2" in out
    assert "\nno overlap: mini/el, mini/fa" in out
    assert " of 1,667 samples in 9 sets overlap with 3 examples; wrote" in out
    assert _ids(tmp_path / "out", least=1) == {"mini/rc-test-3", "mini/rc-test-5"}


def test_sources_and_sets_of_every_kind(planted, tmp_path, capsys):
    asked = tmp_path / "asked.jsonl"
    asked.write_text(
        '{"id": "me", "instruction": "山路を登りながら、こう考えた。", "output": "智"}\n'
    )
    argv = [planted, "mini/rc", f"--against=jsonl:{asked}", "--against=mini/v1:rc"]
    assert main(["data", "overlap", *argv, "--split=dev", f"--out={tmp_path / 'out'}"]) == 0
    found = json.loads((tmp_path / "out/overlap.json").read_text("utf-8"))
    assert list(found["sources"]) == [planted, "mini/rc"]
    assert [entry["name"] for entry in found["sets"]] == [f"jsonl:{asked}", "mini/rc"]
    assert found["sets"][0]["overlapping"] == 1
    assert "me and mine.jsonl:1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["jsonl:no_such.jsonl"], "there is no file no_such.jsonl"),
        (["mini/r"], "mini/rc"),
        (["mini/rc", "mini/rc"], "named twice"),
        (["mini/rc", "--against=mini/v2"], "did you mean mini/v1"),
        (["mini/rc", "--pairs=-1"], "--pairs=-1"),
        (["mini/rc", "--out=/dev/null/out"], "--out=/dev/null/out cannot be made"),
    ],
)
def test_mistakes_are_told(planted, tmp_path, capsys, argv, reason):
    argv = ["data", "overlap", "--against=mini/v1:rc", f"--out={tmp_path / 'out'}", *argv]
    assert main(argv) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out/overlap.json").exists()


def test_a_report_without_the_samples_that_overlap(planted, tmp_path, capsys):
    argv = ["data", "overlap", planted, "--against=mini/v1:rc", f"--out={tmp_path / 'out'}"]
    assert main(argv) == 0
    digest = corpora.info("mini/rc", tmp_path / "data")["sha256"]["test"]
    removed = _ids(tmp_path / "out")
    samples = [
        {
            "id": f"mini/rc-test-{index}",
            **dict.fromkeys(("prompt", "output", "prediction", "gold"), "はい"),
            "scores": {"exact_match": float(f"mini/rc-test-{index}" in removed)},
        }
        for index in range(200)
    ]
    task = {
        "category": "RC",
        "headline": "exact_match",
        "num_samples": 200,
        "metrics": {"exact_match": {"mean": len(removed) / 200, "interval": None}},
        "data_sha256": digest,
    }
    record = {
        "suite": None,
        "split": "test",
        "model": {"name": "small"},
        "run": {"kind": "sft", "step": 9},
        "tasks": {"mini/v1:rc": task},
        "categories": {},
        "average": None,
    }
    write_result(tmp_path / "run", record, {"mini/v1:rc": samples})
    capsys.readouterr()
    argv = ["report", str(tmp_path / "run"), f"--without_overlap={tmp_path / 'out'}"]
    assert main([*argv, "--json"]) == 0
    with_all, clean = json.loads(capsys.readouterr().out)["tables"][0]["rows"]
    assert with_all["scores"]["mini/v1:rc"]["mean"] == pytest.approx(len(removed) / 200)
    assert clean["scores"]["mini/v1:rc"]["mean"] == 0
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert f"[1] without {len(removed)} of 200 samples, which overlap with tuning data" in shown
    assert main(["report", str(tmp_path / "run"), f"--without_overlap={tmp_path}"]) == 2
    assert "jaxllm data overlap" in capsys.readouterr().err
