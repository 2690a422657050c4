"""Corpora on disk: order, identity, idempotence, and nothing half-made."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import textwrap

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, raw, store
from jaxllm.errors import MissingData, UserError


def _pairs(count: int) -> list[base.Pair]:
    return [base.Pair(f"問い{index}", f"答え\n{index}") for index in range(count)]


TOY = base.Corpus(
    name="toy/numbers",
    source="this test",
    licence="CC0",
    instruction="答えて",
    output_length=3,
    metrics=("exact_match",),
    splits=("train", "test"),
    readers=(lambda open_raw: {"train": _pairs(50), "test": _pairs(7)},),
)


@pytest.fixture
def add(monkeypatch):
    """Makes a corpus known by its name, and returns the name."""

    def add_corpus(corpus: base.Corpus) -> str:
        class Toy(base.CorpusBuilder, skip_registration=True):
            BUILDER_CONFIGS = base.configs(corpus)

        monkeypatch.setitem(store._BUILDERS, corpus.name, (Toy, Toy.BUILDER_CONFIGS[0]))
        return corpus.name

    return add_corpus


@pytest.fixture
def toy(add):
    return add(TOY)


def _lines(split):
    """A reader of one split: a pair for each line of the raw file toy/SPLIT.txt."""

    def read(open_raw):
        lines = open_raw(f"toy/{split}.txt").read_text(encoding="utf-8").splitlines()
        return {split: [base.Pair(line, "はい") for line in lines]}

    return read


PARTS = dataclasses.replace(
    TOY,
    name="toy/parts",
    files=tuple(
        raw.RawFile(path=f"toy/{split}.txt", by_hand=f"write {split}") for split in TOY.splits
    ),
    readers=tuple(map(_lines, TOY.splits)),
)


@pytest.fixture
def raw_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)
    folder = tmp_path / "raw"
    (folder / "toy").mkdir(parents=True)
    return folder


def test_rows_come_back_in_their_order(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    rows = corpora.load(toy, "train", data_dir=tmp_path)
    assert [row["index"] for row in rows] == list(range(50))
    assert rows[13] == {
        "index": 13,
        "id": "toy/numbers-train-13",
        "instruction": "答えて",
        "input": "問い13",
        "output": "答え\n13",
    }


def test_info_and_the_rows_on_disk_agree_on_the_digest(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    info = corpora.info(toy, tmp_path)
    assert info["splits"] == {"train": 50, "test": 7}
    assert (info["licence"], info["source"]) == ("CC0", "this test")
    text = store.canonical_json(toy, "test", data_dir=tmp_path)
    assert base.digest(text) == info["sha256"]["test"]
    assert text.startswith('{\n    "instruction": "答えて",\n    "output_length": 3,\n')
    assert text.endswith("}")


def test_prepare_twice_writes_once(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    seen = []
    corpora.prepare([toy], data_dir=tmp_path, progress=lambda *step: seen.append(step))
    assert seen == [("prepare toy/numbers", 57, 57)]
    assert written == {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
    }


def test_a_stopped_prepare_leaves_nothing_that_loads(toy, tmp_path):
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpora.prepare([toy], data_dir=tmp_path, progress=stop)
    assert not store._is_prepared(store._builder(toy, tmp_path))
    corpora.prepare([toy], data_dir=tmp_path)
    assert len(corpora.load(toy, "train", data_dir=tmp_path)) == 50


def test_a_killed_prepare_leaves_nothing_that_loads(tmp_path):
    script = f"""
        import os, signal
        from jaxllm import corpora
        corpora.prepare(["mini/qa"], data_dir={str(tmp_path)!r},
                        progress=lambda *step: os.kill(os.getpid(), signal.SIGKILL))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=120)
    assert done.returncode == -9
    assert not store._is_prepared(store._builder("mini/qa", tmp_path))
    corpora.prepare(["mini/qa"], data_dir=tmp_path)
    assert corpora.load("mini/qa", "train", data_dir=tmp_path)


def test_a_corpus_made_here_is_prepared_when_first_asked_for(toy, tmp_path):
    assert len(corpora.load(toy, "test", data_dir=tmp_path)) == 7


def test_a_split_that_is_not_the_published_one_is_refused(add, tmp_path):
    name = add(dataclasses.replace(TOY, name="toy/wrong", sha256={"test": "00"}))
    with pytest.raises(base.OtherRows, match="toy/wrong/test") as error:
        corpora.prepare([name], data_dir=tmp_path)
    assert {split: rows for split, (rows, _) in error.value.found.items()} == {
        "train": 50,
        "test": 7,
    }
    assert not corpora.is_prepared(name, tmp_path)


def test_a_form_that_is_not_known_for_sure_may_differ(add, tmp_path):
    unsure = dataclasses.replace(
        TOY, name="toy/unsure", sha256={"test": "00"}, unverified="a guess"
    )
    corpora.prepare([add(unsure)], data_dir=tmp_path)
    assert len(corpora.load("toy/unsure", "test", data_dir=tmp_path)) == 7


def test_rows_that_are_no_longer_the_pinned_ones_are_made_anew(add, tmp_path):
    old = dataclasses.replace(
        TOY, readers=(lambda open_raw: {"train": _pairs(2), "test": _pairs(2)},)
    )
    corpora.prepare([add(old)], data_dir=tmp_path)
    pinned = base.digest(base.canonical_json(TOY, _pairs(7)))
    corpora.prepare([add(dataclasses.replace(TOY, sha256={"test": pinned}))], data_dir=tmp_path)
    assert len(corpora.load(TOY.name, "test", data_dir=tmp_path)) == 7


def test_a_corpus_goes_on_without_the_split_whose_file_is_not_here(add, tmp_path, raw_folder):
    name = add(PARTS)
    (raw_folder / "toy/test.txt").write_text("問い\n")
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_folder)
    about = corpora.info(name, tmp_path)
    assert about["splits"] == {"test": 1}
    assert about["missing"] == {"train": f"write train; put it at {raw_folder}/toy/train.txt"}
    assert corpora.load(name, "test", data_dir=tmp_path)[0]["input"] == "問い"
    with pytest.raises(MissingData, match="without its split 'train': write train"):
        corpora.load(name, "train", data_dir=tmp_path)
    with pytest.raises(UserError, match="has no split 'dev'"):
        corpora.load(name, "dev", data_dir=tmp_path)


def test_it_is_made_anew_when_the_file_has_come(add, tmp_path, raw_folder):
    name = add(PARTS)
    (raw_folder / "toy/test.txt").write_text("問い\n")
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_folder)
    (raw_folder / "toy/train.txt").write_text("a\nb\n")
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_folder)
    assert corpora.info(name, tmp_path)["splits"] == {"train": 2, "test": 1}
    assert corpora.info(name, tmp_path)["missing"] == {}


def test_what_stands_is_kept_when_the_raw_files_are_gone(add, tmp_path, raw_folder):
    name = add(PARTS)
    (raw_folder / "toy/test.txt").write_text("問い\n")
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_folder)
    (raw_folder / "toy/test.txt").unlink()
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_folder)
    assert len(corpora.load(name, "test", data_dir=tmp_path)) == 1


def test_data_that_was_prepared_before_splits_could_be_missing_is_read(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    path = tmp_path / "toy/numbers/1.1.0/metadata.json"
    path.write_text(json.dumps({"sha256": json.loads(path.read_text())["sha256"]}))
    corpora.prepare([toy], data_dir=tmp_path)
    assert corpora.info(toy, tmp_path)["missing"] == {}
    assert len(corpora.load(toy, "test", data_dir=tmp_path)) == 7


def test_without_any_raw_file_the_first_reason_is_told(add, tmp_path, raw_folder):
    name = add(PARTS)
    with pytest.raises(MissingData, match="write train; put it at"):
        corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_folder)
    assert not corpora.is_prepared(name, tmp_path)
    absent = corpora.absent_files(name, data_dir=tmp_path, raw_dir=raw_folder)
    assert [file.path for file in absent] == ["toy/train.txt", "toy/test.txt"]
    (raw_folder / "toy/train.txt").write_text("a\n")
    (absent,) = corpora.absent_files(name, data_dir=tmp_path, raw_dir=raw_folder)
    assert absent.path == "toy/test.txt"


def test_a_noncommercial_licence_is_accepted_once(add, tmp_path):
    name = add(dataclasses.replace(TOY, name="toy/nc", licence="CC BY-NC 4.0", noncommercial=True))
    with pytest.raises(MissingData, match=r"\(CC BY-NC 4\.0\): give --accept_noncommercial"):
        corpora.prepare([name], data_dir=tmp_path)
    assert not corpora.is_prepared(name, tmp_path)
    corpora.prepare([name], data_dir=tmp_path, accept_noncommercial=True)
    corpora.prepare([name], data_dir=tmp_path)
    assert corpora.is_prepared(name, tmp_path)


CHAT = dataclasses.replace(
    TOY,
    name="toy/chat",
    instruction="",
    form="conversation",
    splits=("train",),
    readers=(
        lambda open_raw: {
            "train": [
                base.Conversation((base.Turn("user", "問"), base.Turn("assistant", "答\n"))),
                base.Conversation(
                    (
                        base.Turn("system", "短く"),
                        *(base.Turn(role, role) for role in ("user", "assistant") * 2),
                    )
                ),
            ]
        },
    ),
)


def test_conversations_come_back_turn_by_turn(add, tmp_path):
    name = add(CHAT)
    corpora.prepare([name], data_dir=tmp_path)
    first, second = corpora.load(name, "train", data_dir=tmp_path)
    assert first == {
        "index": 0,
        "id": "toy/chat-train-0",
        "messages": [
            {"role": "user", "content": "問"},
            {"role": "assistant", "content": "答\n"},
        ],
    }
    roles = [message["role"] for message in second["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    text = store.canonical_json(name, "train", data_dir=tmp_path)
    assert base.digest(text) == corpora.info(name, tmp_path)["sha256"]["train"]


def test_rows_may_have_instructions_of_their_own(add, tmp_path):
    pairs = [base.Pair("文脈", "a", "一つ目"), base.Pair("", "b", "二つ目")]
    own = dataclasses.replace(
        TOY, name="toy/own", instruction="", readers=(lambda open_raw: {"train": pairs},)
    )
    name = add(own)
    corpora.prepare([name], data_dir=tmp_path)
    rows = corpora.load(name, "train", data_dir=tmp_path)
    assert [(row["instruction"], row["input"], row["output"]) for row in rows] == [
        ("一つ目", "文脈", "a"),
        ("二つ目", "", "b"),
    ]
    text = store.canonical_json(name, "train", data_dir=tmp_path)
    assert text == base.canonical_json(own, pairs)
    assert '"instruction": "一つ目",\n            "input": "文脈"' in text


def test_unknown_names_are_told_the_nearest(tmp_path):
    with pytest.raises(UserError, match="jcommonsenseqa"):
        corpora.get("jcomonsenseqa")
    with pytest.raises(UserError, match="data prepare mawps"):
        corpora.load("mawps", "test", data_dir=tmp_path)


def test_unknown_split_names_the_others(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    with pytest.raises(UserError, match="has no split"):
        corpora.load(toy, "dev", data_dir=tmp_path)


def test_neither_tensorflow_nor_jax_is_imported(tmp_path):
    script = f"""
        import sys
        from jaxllm import corpora
        corpora.prepare(["mini/qa"], data_dir={str(tmp_path)!r})
        assert corpora.load("mini/qa", "test", data_dir={str(tmp_path)!r})
        assert not {{"tensorflow", "jax"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)
