"""Planted samples, nearly the same ones and none at all, from files to what is found."""

from __future__ import annotations

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet
import pytest

from jaxllm.contamination import scan
from jaxllm.contamination.evaluation_sets import load_sets
from jaxllm.contamination.scan import find_overlap
from jaxllm.errors import UserError
from jaxllm.input.sources import read_source

_WORDS = "駅 学校 猫 本 山 川 先生 明日 昨日 電車 食べる 走る 読む 見る 青い 大きい".split()
_WORDS += "が を に で は も".split()


def _text(seed: int, length: int = 90) -> str:
    """Words in random order: two of these share no 13 words and no 30 characters."""
    draw = random.Random(seed)
    return "".join(draw.choice(_WORDS) for _ in range(length))[:length]


def _jsonl(path, records):
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return f"jsonl:{path}"


def _question(id: str, input: str, output: str = "はい") -> dict[str, str]:
    return {"id": id, "instruction": "答えて。", "input": input, "output": output}


def _overlap(tmp_path, samples, *sources, **settings):
    """What of some samples (records, or texts to ask) stands in sources (records, or specs)."""
    records = [
        _question(f"q{number}", sample) if isinstance(sample, str) else sample
        for number, sample in enumerate(samples)
    ]
    spec = _jsonl(tmp_path / "evaluated.jsonl", records)
    sets, _ = load_sets([spec], split="test", data_dir=tmp_path)
    specs = [
        source
        if isinstance(source, str)
        else _jsonl(tmp_path / f"trained{number}.jsonl", [_example(example) for example in source])
        for number, source in enumerate(sources)
    ]
    return find_overlap([read_source(one, data_dir=tmp_path) for one in specs], sets, **settings)


def _example(example):
    return example if isinstance(example, dict) else {"text": example}


def _others(count: int = 40) -> list[str]:
    return [_text(seed) for seed in range(1000, 1000 + count)]


def test_nothing_shared_is_no_overlap(tmp_path):
    overlap = _overlap(tmp_path, [_text(0), _text(1)], _others())
    assert overlap.samples == ()
    assert [(found.num_samples, found.worst) for found in overlap.sets] == [(2, ())]
    assert list(overlap.sources.values()) == [40]


@pytest.mark.parametrize(
    "planted",
    [
        lambda text: text,
        lambda text: f"前置きがあって、{text}それに続きもある。",
        lambda text: {"prompt": f"問題です。{text}", "completion": "はい"},
        lambda text: {"messages": [
            {"role": "user", "content": "翻訳"}, {"role": "assistant", "content": text}]},
        lambda text: {"prompt": "問い", "chosen": "はい", "rejected": text},
    ],
)  # fmt: skip
def test_an_exact_copy_is_found_wherever_it_stands(tmp_path, planted):
    overlap = _overlap(tmp_path, [_text(0), _text(1)], [*_others(), planted(_text(1))])
    (sample,) = overlap.samples
    assert (sample.id, sample.words, sample.characters) == ("q1", 1, 1)
    assert sample.example == "trained0.jsonl:41"
    (pair,) = overlap.sets[0].worst
    assert pair.evaluated.shared == pair.trained.shared == _text(1)
    assert (pair.id, pair.example, pair.characters) == ("q1", "trained0.jsonl:41", 1)


@pytest.mark.parametrize(
    "variant",
    [
        lambda text: text.replace("が", " が\n").replace("に", "\u3000に"),
        lambda text: text.replace("A", "Ａ").replace("(", "（").replace("1", "１"),
        lambda text: f"\ufeff{text}",
    ],
)
def test_width_and_blanks_hide_nothing(tmp_path, variant):
    text = f"A案(1番)が{_text(0)}"
    (sample,) = _overlap(tmp_path, [text], [variant(text)]).samples
    assert (sample.words, sample.characters) == (1, 1)


def test_of_a_part_the_share_is_told(tmp_path):
    text = _text(0, 90)
    (sample,) = _overlap(tmp_path, [text], [text[:60] + _text(5)]).samples
    assert sample.characters == pytest.approx(31 / 61)
    assert 0 < sample.words < 1
    # Two examples that hold a half each hold all but what lies across, together.
    overlap = _overlap(tmp_path, [text], [text[:45] + _text(5), _text(6) + text[45:]])
    assert overlap.samples[0].characters == pytest.approx(32 / 61)
    assert overlap.sets[0].worst[0].characters == pytest.approx(16 / 61)


def test_an_edited_copy_is_a_near_duplicate(tmp_path):
    text = _text(0, 100)
    edited = "".join("々" if place % 10 == 9 else char for place, char in enumerate(text))
    overlap = _overlap(
        tmp_path, [text, _text(1)], [*_others(), {"prompt": edited, "completion": "A"}]
    )
    (sample,) = overlap.samples
    assert (sample.id, sample.words, sample.characters) == ("q0", 0, 0)
    assert sample.similarity >= 0.5
    assert overlap.sets[0].worst[0].similarity == pytest.approx(sample.similarity)


def test_a_short_sample_is_found_as_a_whole_only(tmp_path):
    samples = ["日本の首都は？", "円周率は？"]
    sources = ["それで、日本の首都は？と聞いた。", {"prompt": "円周率は", "completion": "3.14"}]
    (sample,) = _overlap(tmp_path, samples, sources).samples
    # The sign at the end is no word, so all words are there and the characters are not.
    assert (sample.id, sample.words, sample.characters) == ("q1", 1, 0)


def test_what_a_task_says_to_every_sample_is_no_overlap(tmp_path):
    rule = (
        "次の文章を読み、内容に合うものには「はい」、合わないものには「いいえ」と答えてください。"
    )
    in_instruction = [
        {"id": str(seed), "instruction": rule, "input": _text(seed), "output": "はい"}
        for seed in range(12)
    ]
    in_input = [_question(str(seed), f"{rule}\n文章：{_text(seed)}") for seed in range(12)]
    trained = [{"instruction": rule, "input": text, "output": "はい"} for text in _others()]
    trained += [{"prompt": f"{rule}\n文章：{text}", "completion": "はい"} for text in _others()]
    assert _overlap(tmp_path, in_instruction, trained).samples == ()
    assert _overlap(tmp_path, in_input, trained).samples == ()
    trained.append({"prompt": f"{rule}\n文章：{_text(3)}", "completion": "はい"})
    (sample,) = _overlap(tmp_path, in_input, trained).samples
    assert (sample.id, sample.words, sample.characters) == ("3", 1, 1)


def test_a_long_gold_answer_counts(tmp_path):
    sample = _question("q0", _text(0), _text(1))
    (found,) = _overlap(tmp_path, [sample], [_text(1)]).samples
    assert found.characters == pytest.approx(0.5)


def test_every_source_is_told_apart_and_the_worst_pairs_come_first(tmp_path):
    samples = [_text(seed) for seed in range(4)]
    table = pa.Table.from_pylist([{"text": _text(2)[:50]}, {"text": _text(3)}])
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    with gzip.open(tmp_path / "c.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"text": _text(0)[:70]}) + "\n")
    sources = [[_text(2)], f"parquet:{tmp_path}/b.parquet", f"jsonl:{tmp_path}/c.jsonl.gz"]
    overlap = _overlap(tmp_path, samples, *sources, num_pairs=2)
    places = [(sample.id, sample.example) for sample in overlap.samples]
    assert places == [
        ("q2", "trained0.jsonl:1"),
        ("q2", "b.parquet:0"),
        ("q3", "b.parquet:1"),
        ("q0", "c.jsonl.gz:1"),
    ]
    assert list(overlap.sources) == [f"jsonl:{tmp_path}/trained0.jsonl", *sources[1:]]
    (found,) = overlap.sets
    assert {(pair.id, pair.example) for pair in found.worst} == {places[0], places[2]}
    assert [sample.id for sample in overlap.samples_of(found.name, sources[1])] == ["q2", "q3"]


def test_processes_find_the_same(tmp_path, monkeypatch):
    trained = [*_others(400), _text(0), *_others(100), _text(1)[:50]]
    monkeypatch.setattr(scan, "_BATCH_BYTES", 5_000)
    alone = _overlap(tmp_path, [_text(0), _text(1)], trained)
    monkeypatch.setattr(scan, "_ALONE_SECONDS", 0)
    monkeypatch.setattr(scan, "num_cpus", lambda: 2)
    counts = []
    together = _overlap(tmp_path, [_text(0), _text(1)], trained, progress=counts.append)
    assert together == alone
    assert len(alone.samples) == 2
    assert (sum(counts), len(counts) > 10) == (502, True)


def test_a_damaged_line_is_named(tmp_path, monkeypatch):
    trained = [*_others(), '{"text": "']
    with pytest.raises(UserError, match=r"trained\.jsonl, line 41: not valid JSON"):
        _overlap(tmp_path, ["問い"], _jsonl(tmp_path / "trained.jsonl", map(_line, trained)))
    monkeypatch.setattr(scan, "_ALONE_SECONDS", 0)
    monkeypatch.setattr(scan, "_BATCH_BYTES", 1_000)
    with pytest.raises(UserError, match=r"trained\.jsonl, line 41: not valid JSON"):
        _overlap(tmp_path, ["問い"], f"jsonl:{tmp_path}/trained.jsonl")
    _jsonl(tmp_path / "bad.jsonl", [_question("0", "問い"), {"instruction": "問い"}])
    with pytest.raises(UserError, match=r"bad\.jsonl, line 2"):
        load_sets([f"jsonl:{tmp_path}/bad.jsonl"], split="test", data_dir=tmp_path)


def _line(text: str) -> str:
    return text if text.startswith("{") else json.dumps({"text": text})


def test_a_source_named_twice_is_refused(tmp_path):
    _jsonl(tmp_path / "a.jsonl", [{"text": "a"}])
    with pytest.raises(UserError, match="named twice"):
        _overlap(tmp_path, ["問い"], *[f"jsonl:{tmp_path}/a.jsonl"] * 2)
