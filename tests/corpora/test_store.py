"""Corpora on disk: order, identity, idempotence, and nothing half-made."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, store
from jaxllm.errors import UserError

_PUBLISHED = {name: corpora.get(name).sha256 for name in ("jcommonsenseqa", "mawps", "jemhopqa")}


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


class Toy(base.CorpusBuilder):
    """A corpus that needs no file."""

    BUILDER_CONFIGS = base.configs(TOY)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(store._BUILDERS, TOY.name, (Toy, Toy.BUILDER_CONFIGS[0]))
    return TOY.name


@pytest.fixture(scope="module")
def raw_dir() -> Path:
    default = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("JAXLLM_RAW_DIR") or default)
    if not (folder / "jglue").exists():
        pytest.skip("no raw data: set JAXLLM_RAW_DIR")
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


def test_info_and_export_agree_on_the_digest(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    info = corpora.info(toy, tmp_path)
    assert info["splits"] == {"train": 50, "test": 7}
    assert (info["licence"], info["source"]) == ("CC0", "this test")
    assert corpora.export(toy, tmp_path / "out", data_dir=tmp_path) == info["sha256"]
    text = (tmp_path / "out/evaluation/test/toy/numbers.json").read_text(encoding="utf-8")
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


def test_a_split_that_is_not_the_published_one_is_refused(monkeypatch, tmp_path):
    wrong = dataclasses.replace(TOY, name="toy/wrong", sha256={"test": "00"})
    (config,) = base.configs(wrong)
    monkeypatch.setitem(store._BUILDERS, wrong.name, (Toy, config))
    with pytest.raises(UserError, match="toy/wrong/test"):
        corpora.prepare([wrong.name], data_dir=tmp_path)


def test_unknown_names_are_told_the_nearest(tmp_path):
    with pytest.raises(UserError, match="jcommonsenseqa"):
        corpora.get("jcomonsenseqa")
    with pytest.raises(UserError, match="data prepare mawps"):
        corpora.load("mawps", "test", data_dir=tmp_path)


def test_unknown_split_names_the_others(toy, tmp_path):
    corpora.prepare([toy], data_dir=tmp_path)
    with pytest.raises(UserError, match="has no split"):
        corpora.load(toy, "dev", data_dir=tmp_path)


@pytest.mark.parametrize("name", _PUBLISHED)
def test_prepared_corpora_have_the_published_digests(name, raw_dir, tmp_path):
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_dir)
    digests = corpora.export(name, tmp_path / "out", data_dir=tmp_path)
    assert digests == _PUBLISHED[name]
    for split, digest in digests.items():
        text = (tmp_path / f"out/evaluation/{split}/{name}.json").read_text(encoding="utf-8")
        assert base.digest(text) == digest


def test_neither_tensorflow_nor_jax_is_imported(tmp_path):
    script = f"""
        import sys
        from jaxllm import corpora
        corpora.prepare(["mini/qa"], data_dir={str(tmp_path)!r})
        assert corpora.load("mini/qa", "test", data_dir={str(tmp_path)!r})
        assert not {{"tensorflow", "jax"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)
