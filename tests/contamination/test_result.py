from __future__ import annotations

import json

import pytest

from jaxllm.contamination.passages import Passage, side_by_side
from jaxllm.contamination.result import (
    Overlap,
    Pair,
    SampleOverlap,
    SetOverlap,
    read_overlapping,
    write_overlap,
)
from jaxllm.errors import UserError


def _sample(set_name: str, id: str, source: str, words: float, similarity: float = 0.0):
    return SampleOverlap(
        set=set_name,
        id=id,
        source=source,
        words=words,
        characters=0.0,
        similarity=similarity,
        example="e",
    )


def _overlap() -> Overlap:
    passage = Passage(before="前", shared="問い", after="後")
    pair = Pair(
        id="0",
        source="s",
        example="e",
        words=1.0,
        characters=0.0,
        similarity=0.0,
        evaluated=passage,
        trained=passage,
    )
    sets = [
        SetOverlap(
            name=name, data_sha256=name * 2, tasks=("x",), num_samples=9, worst=(pair,) * len(name)
        )
        for name in ("a", "b", "c")
    ]
    samples = (
        _sample("a", "0", "s", 0.1),
        _sample("a", "1", "s", 0.05),
        _sample("a", "2", "s", 1.0),
        _sample("a", "0", "t", 0.95),
        _sample("b", "0", "t", 0.0, 0.5),
    )
    return Overlap(
        split="test",
        sources={"s": 10, "t": 20},
        sets=tuple(sets),
        samples=samples,
        missing={"d": "not here"},
    )


def test_both_files_and_the_ids_in_them(tmp_path):
    write_overlap(tmp_path / "new" / "out", _overlap())
    found = json.loads((tmp_path / "new/out/overlap.json").read_text("utf-8"))
    first = found["sets"][0]
    assert (first["overlapping"], list(first["by_source"])) == (3, ["s", "t"])
    counts = first["by_source"]["s"]
    assert (counts["overlapping"], counts["words"], counts["near_duplicates"]) == (3, 3, 0)
    assert counts["words_covered"] == [6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found["sets"][1]["by_source"]["t"]["near_duplicates"] == 1
    assert found["sets"][2]["by_source"] == {}
    assert found["missing"] == {"d": "not here"}
    lines = (tmp_path / "new/out/samples.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[4])["similarity"] == 0.5
    assert read_overlapping(tmp_path / "new/out") == {
        "aa": {"0", "1", "2"},
        "bb": {"0"},
        "cc": set(),
    }


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("overlap.json", None, "jaxllm data overlap"),
        ("overlap.json", "{", "damaged"),
        ("overlap.json", '{"schema": "jaxllm.result/1"}', "not of the schema"),
        ("overlap.json", "[]", "damaged"),
        ("samples.jsonl", None, "cannot be read"),
        ("samples.jsonl", '{"set": "a"', "damaged"),
        ("samples.jsonl", '{"set": "e", "id": "0"}', "damaged"),
    ],
)
def test_a_damaged_folder_is_the_users_to_mend(tmp_path, file, content, reason):
    write_overlap(tmp_path, _overlap())
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=rf"{file}.*{reason}"):
        read_overlapping(tmp_path)


def test_the_longest_passage_that_both_hold():
    one, other = side_by_side(
        ["短い", "あ" * 100 + "東京は日本の首都です" + "い" * 10],
        ["首都です", "う" * 10 + "東京は日本の首都です" + "え" * 100],
    )
    assert one.shared == other.shared == "東京は日本の首都です"
    assert (one.before, one.after) == ("…" + "あ" * 60, "い" * 10)
    assert (other.before, other.after) == ("う" * 10, "え" * 60 + "…")
    long, _ = side_by_side(["字" * 1000], ["字" * 1000])
    assert (len(long.shared), long.before, long.after) == (243, "", "")
    apart, _ = side_by_side(["あいう"], ["えおか"])
    assert (apart.before, apart.shared, apart.after) == ("", "", "あいう")
