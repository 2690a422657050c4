"""`jaxllm generate`: a file of prompts in, a file of answers out."""

from __future__ import annotations

import json

import pytest

from jaxllm.generate import generate, main


@pytest.mark.smoke
def test_generate_end_to_end(tmp_path, tiny_run, capsys):
    path = tmp_path / "in.jsonl"
    asked = [{"id": f"r{i}", "prompt": "猫" * (i + 1), "max_new_tokens": 3 + i} for i in range(4)]
    path.write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    answers = generate(str(tiny_run), str(path), str(tmp_path / "out.jsonl"))
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")
    records = [json.loads(line) for line in lines if line]
    assert [record["id"] for record in records] == ["r0", "r1", "r2", "r3"]
    assert [tuple(record["token_ids"]) for record in records] == [a.token_ids for a in answers]
    # A checkpoint folder is a model too, and so is one step of it.
    step = tiny_run / "checkpoints" / "8"
    arguments = [f"--model={step}", f"--requests={path}", f"--out={tmp_path / 'out8.jsonl'}"]
    assert main(arguments) == 0
    assert "4 answers in" in capsys.readouterr().out
    earlier = (tmp_path / "out8.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["id"] for line in earlier.split("\n") if line] == [
        record["id"] for record in records
    ]
