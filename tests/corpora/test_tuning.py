"""The tuning corpora: what their raw files become, and that a mixture trains on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jaxllm import corpora
from jaxllm.corpora import raw
from jaxllm.errors import MissingData, UserError
from jaxllm.input.sources import read_source

_NAMES = (
    "dolly_en dolly_ja dolly_ja_kunishou oasst1_en oasst1_ja oasst2_en oasst2_ja"
    " ichikara_003_001 ichikara_003_003 answer_carefully"
).split()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a raw file of a corpus by hand, without the digest of the true one; gives raw_dir."""
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)
    # Files made by hand have other digests than the pinned ones.
    monkeypatch.setattr(raw, "_check", lambda file, found, where: None)

    def write(name: str, document: str | list, file: int = 0) -> Path:
        path = tmp_path / "raw" / corpora.get(name).files[file].path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl" and isinstance(document, list):
            document = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in document)
        elif isinstance(document, list):
            document = json.dumps(document, ensure_ascii=False, indent=2)
        path.write_text(document, encoding="utf-8")
        return tmp_path / "raw"

    return write


def _prepared(name, tmp_path, raw_dir, split="train"):
    corpora.prepare([name], data_dir=tmp_path / "data", raw_dir=raw_dir, accept_noncommercial=True)
    return corpora.load(name, split, data_dir=tmp_path / "data")


@pytest.mark.parametrize("name", ["dolly_en", "dolly_ja"])
def test_dolly_has_an_instruction_and_a_context_a_row(name, written, tmp_path):
    rows = [
        {"instruction": "要約", "context": "長い\u2028文", "response": "短", "category": "a"},
        {"instruction": "何か", "context": "", "response": " ", "category": "b"},
        {"instruction": "詩", "context": "", "response": "古池や", "category": "c"},
    ]
    made = _prepared(name, tmp_path, written(name, rows))
    assert [(row["instruction"], row["input"], row["output"]) for row in made] == [
        ("要約", "長い\u2028文", "短"),
        ("詩", "", "古池や"),
    ]


def test_dolly_of_kunishou_names_its_fields_otherwise(written, tmp_path):
    rows = [{"index": "0", "category": "a", "instruction": "問", "input": "文", "output": "答"}]
    (row,) = _prepared("dolly_ja_kunishou", tmp_path, written("dolly_ja_kunishou", rows))
    assert (row["instruction"], row["input"], row["output"]) == ("問", "文", "答")


@pytest.mark.parametrize("name", ["oasst1_en", "oasst1_ja", "oasst2_en", "oasst2_ja"])
def test_oasst_is_conversations_of_whole_turns(name, written, tmp_path):
    def conversation(*turns):
        turns = [{"from": speaker, "value": value} for speaker, value in turns]
        return {"ID": "0", "conversations": turns}

    rows = [
        conversation(("human", "問"), ("gpt", "答"), ("human", "又"), ("gpt", "再")),
        conversation(("human", "問"), ("gpt", "")),
        conversation(("human", "問")),
        conversation(("human", "問"), ("human", "又"), ("gpt", "答"), ("gpt", "答")),
        conversation(),
        conversation(("system", "短く"), ("human", "問"), ("gpt", "答")),
    ]
    made = _prepared(name, tmp_path, written(name, rows))
    assert [[turn["role"] for turn in row["messages"]] for row in made] == [
        ["user", "assistant", "user", "assistant"],
        ["system", "user", "assistant"],
    ]
    assert made[0]["messages"][2] == {"role": "user", "content": "又"}


@pytest.mark.parametrize("name", ["ichikara_003_001", "ichikara_003_003"])
def test_ichikara_asks_in_one_text(name, written, tmp_path):
    raw_dir = written(name, [{"ID": "a-1", "text": "問い", "output": "答え"}])
    with pytest.raises(MissingData, match="non-commercial"):
        corpora.prepare([name], data_dir=tmp_path / "data", raw_dir=raw_dir)
    (row,) = _prepared(name, tmp_path, raw_dir)
    assert (row["instruction"], row["input"], row["output"]) == ("問い", "", "答え")


def test_answer_carefully_goes_on_without_one_of_its_parts(written, tmp_path):
    rows = [{"ID": "v2-1", "text": "危ない問い", "output": "注意深い答え", "meta": None}]
    raw_dir = written("answer_carefully", rows)
    (row,) = _prepared("answer_carefully", tmp_path, raw_dir)
    assert (row["instruction"], row["output"]) == ("危ない問い", "注意深い答え")
    with pytest.raises(MissingData, match=r"accept the terms of .* its test part"):
        corpora.load("answer_carefully", "test", data_dir=tmp_path / "data")
    written("answer_carefully", rows * 2, file=1)
    assert len(_prepared("answer_carefully", tmp_path, raw_dir, split="test")) == 2


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("document", ['{"text": ', '"text"', "[1]", '[{"a": "b"}]'])
def test_another_file_is_named_and_makes_nothing(name, document, written, tmp_path):
    if corpora.get(name).files[0].path.endswith(".jsonl"):
        document = document.strip("[]")
    raw_dir = written(name, document)
    with pytest.raises(UserError, match=str(raw_dir / corpora.get(name).files[0].path)):
        _prepared(name, tmp_path, raw_dir)
    assert not corpora.is_prepared(name, tmp_path / "data")


@pytest.mark.parametrize("name", _NAMES)
def test_without_the_file_the_way_to_it_is_told(name, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    file = corpora.get(name).files[0]
    with pytest.raises(MissingData) as error:
        _prepared(name, tmp_path, tmp_path / "raw")
    assert (file.url or file.by_hand) in str(error.value)
    assert str(tmp_path / "raw" / file.path) in str(error.value)


def test_a_mixture_reads_conversations_and_instructions(written, tmp_path):
    turns = [{"from": "human", "value": "問"}, {"from": "gpt", "value": "答"}]
    raw_dir = written("oasst2_ja", [{"conversations": turns}])
    written("dolly_ja", [{"instruction": "指示", "context": "文脈", "response": "応答"}])
    corpora.prepare(["oasst2_ja", "dolly_ja"], data_dir=tmp_path, raw_dir=raw_dir)
    (chat,) = read_source("oasst2_ja", data_dir=tmp_path)
    assert chat.id == "oasst2_ja-train-0"
    assert [(m.role, m.content) for m in chat.messages] == [("user", "問"), ("assistant", "答")]
    (asked,) = read_source("dolly_ja", data_dir=tmp_path)
    assert (asked.messages[0].content, asked.messages[0].context) == ("指示", "文脈")
    assert asked.messages[1].content == "応答"


def test_the_part_of_dolly_is_the_pinned_one(raw_dir, tmp_path):
    corpora.prepare(["dolly_ja_part"], data_dir=tmp_path, raw_dir=raw_dir)
    about = corpora.info("dolly_ja_part", tmp_path)
    assert (about["splits"], about["licence"]) == ({"train": 4607}, "CC BY-SA 3.0")
    assert about["sha256"] == corpora.get("dolly_ja_part").sha256
    examples = list(read_source("dolly_ja_part", data_dir=tmp_path))
    assert len(examples) == 4607
    assert examples[0].messages[0].content == "魚の種類は？トープとロープ"
