"""`jaxllm generate`: a file of prompts in, a file of answers out."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from jaxllm.errors import UserError
from jaxllm.generate import generate, main


@pytest.fixture
def asked(tmp_path):
    def write(*records):
        path = tmp_path / "in.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        return str(path)

    return write


def _records(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def _greedy(index):
    return {"id": f"r{index}", "prompt": "猫" * (index + 1), "max_new_tokens": 3 + index}


def _sampled(name, **settings):
    request = {"id": name, "prompt": f"{name}猫", "max_new_tokens": 6, "temperature": 1.5}
    return {**request, "ignore_eos": True, **settings}


@pytest.mark.smoke
def test_generate_end_to_end(tmp_path, tiny_run, asked, capsys):
    path = asked(*map(_greedy, range(4)))
    answers = generate(str(tiny_run), path, str(tmp_path / "out.jsonl"))
    records = _records(tmp_path / "out.jsonl")
    assert [record["id"] for record in records] == ["r0", "r1", "r2", "r3"]
    assert [tuple(record["token_ids"]) for record in records] == [a.token_ids for a in answers]
    fields = ["id", "text", "token_ids", "finish_reason", "logprob"]
    assert [list(record) for record in records] == [fields] * 4
    # A checkpoint folder is a model too, and so is one step of it.
    step = tiny_run / "checkpoints" / "8"
    arguments = [f"--model={step}", f"--requests={path}", f"--out={tmp_path / 'out8.jsonl'}"]
    assert main(arguments) == 0
    assert "4 answers in" in capsys.readouterr().out
    earlier = _records(tmp_path / "out8.jsonl")
    assert [record["id"] for record in earlier] == [record["id"] for record in records]


def test_only_the_same_request_to_the_same_model_is_answered_from_the_journal(
    tmp_path, tiny_run, asked, capsys
):
    out, fresh = tmp_path / "out.jsonl", tmp_path / "fresh.jsonl"

    def known(*records, model=tiny_run, **settings):
        """How many answers were there already; all must be those of a run without a journal."""
        path = asked(*records)
        generate(str(model), path, str(fresh), **settings)
        shutil.rmtree(tmp_path / "fresh.jsonl.journal")
        capsys.readouterr()
        answers = generate(str(model), path, str(out), **settings)
        found, expected = map(_records, (out, fresh))
        for record in (*found, *expected):
            del record["logprob"]  # its last digits depend on what is decoded beside
        assert found == expected
        said = re.search(r"(\d+) of (\d+) answers are in (\S+);", capsys.readouterr().err)
        assert said is None or said.group(2, 3) == (str(len(answers)), f"{out}.journal")
        return 0 if said is None else int(said[1])

    three = [_greedy(0), _greedy(1), _sampled("s")]
    assert known(*three) == 0
    assert known(*three) == 3
    assert known(*three[::-1]) == 3
    assert known({**three[0], "id": "another name"}, *three[1:]) == 2
    assert known({**three[0], "max_new_tokens": 2}, three[1], {**three[2], "seed": 1}) == 1
    # With one line damaged, one answer is asked again.
    (segment,) = (tmp_path / "out.jsonl.journal").iterdir()
    first, *rest = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([first[:40], b"\n", *rest]))
    assert known({**three[0], "max_new_tokens": 2}, three[1], {**three[2], "seed": 1}) == 2
    for change in ({"model": tiny_run / "checkpoints" / "8"}, {"dtype": "bfloat16"}):
        assert known(*three, **change) == 0


def test_n_samples(tmp_path, tiny_run, asked):
    def answers(*records):
        generate(str(tiny_run), asked(*records), str(tmp_path / "out.jsonl"))
        return _records(tmp_path / "out.jsonl")

    found = answers(_sampled("a", n=3), _greedy(0), _sampled("b", n=2))
    assert [(r["id"], r.get("sample")) for r in found] == [
        *(("a", 0), ("a", 1), ("a", 2)),
        ("r0", None),
        *(("b", 0), ("b", 1)),
    ]
    assert len({tuple(r["token_ids"]) for r in found if r["id"] == "a"}) == 3
    by_name = {(r["id"], r.get("sample")): r["token_ids"] for r in found}
    # Neither the order of the file nor the number of samples changes one.
    turned = answers(_sampled("b", n=1), _sampled("a", n=4), _greedy(0))
    del by_name["b", 1]
    by_name["b", None] = by_name.pop(("b", 0))
    ids = {(r["id"], r.get("sample")): r["token_ids"] for r in turned}
    assert {name: ids[name] for name in by_name} == by_name


def test_an_output_that_cannot_be_written_is_told_before_anything_runs(tmp_path, tiny_run, asked):
    path = asked(_greedy(0))
    for out in (str(tmp_path), path):
        with pytest.raises(UserError, match="name a new file"):
            generate(str(tiny_run), path, out)
    assert _records(tmp_path / "in.jsonl") == [_greedy(0)]
