"""What verify says of splits that are equal, differ, are missing, refused, or were changed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, raw, store

ROWS = [base.Pair("問い", "答え"), base.Pair("又", "再")]
FILE = raw.RawFile(path="toy/dev.json", by_hand="write it")


def _dev(open_raw):
    rows = json.loads(open_raw(FILE.path).read_text(encoding="utf-8"))
    return {"dev": [base.Pair(*row) for row in rows]}


TOY = base.Corpus(
    name="toy/verified",
    source="this test",
    licence="CC0",
    files=(FILE,),
    instruction="答えて",
    readers=(lambda open_raw: {"train": ROWS, "test": ROWS[:1]}, _dev),
)
DIGEST = base.digest(base.canonical_json(TOY, ROWS))


@pytest.fixture
def verify(monkeypatch, tmp_path):
    """Verdicts by split on TOY with the given fields."""
    monkeypatch.delenv(raw.RAW_DIR_VARIABLE, raising=False)

    def run(**fields):
        corpus = dataclasses.replace(TOY, **fields)

        class Toy(base.CorpusBuilder, skip_registration=True):
            BUILDER_CONFIGS = base.configs(corpus)

        monkeypatch.setitem(store._BUILDERS, TOY.name, (Toy, Toy.BUILDER_CONFIGS[0]))
        verdicts = corpora.verify(TOY.name, data_dir=tmp_path / "data", raw_dir=tmp_path / "raw")
        assert [verdict.corpus for verdict in verdicts] == [TOY.name] * 3
        return {verdict.split: verdict for verdict in verdicts}

    return run


def _write(tmp_path, document):
    (tmp_path / "raw/toy").mkdir(parents=True, exist_ok=True)
    (tmp_path / "raw/toy/dev.json").write_text(document, encoding="utf-8")


def test_published_and_derived_digests_that_are_equal(verify, tmp_path):
    _write(tmp_path, json.dumps(ROWS))
    verdicts = verify(sha256={"train": DIGEST, "dev": DIGEST})
    assert verdicts["dev"] == corpora.Verdict(
        corpus=TOY.name,
        split="dev",
        rows=2,
        sha256=DIGEST,
        expected=DIGEST,
        digest="published",
        judgement="equal",
    )
    assert (verdicts["train"].judgement, verdicts["train"].digest) == ("equal", "derived")
    assert verdicts["test"].judgement == "no published digest"
    assert (verdicts["test"].rows, verdicts["test"].digest) == (1, "")
    assert not any(verdict.is_wrong for verdict in verdicts.values())


def test_rows_that_differ_are_wrong_unless_their_form_is_unverified(verify, tmp_path):
    _write(tmp_path, json.dumps(ROWS[:1]))
    verdicts = verify(sha256={"train": DIGEST, "dev": DIGEST})
    assert (verdicts["dev"].judgement, verdicts["dev"].rows) == ("differs", 1)
    assert verdicts["dev"].sha256 != DIGEST
    assert verdicts["dev"].is_wrong
    assert verdicts["train"].judgement == "equal"
    verdicts = verify(sha256={"train": DIGEST, "dev": DIGEST}, unverified="a guess")
    assert verdicts["dev"].judgement == "differs"
    assert (verdicts["dev"].is_wrong, verdicts["dev"].unverified) == (False, "a guess")


def test_a_split_without_raw_data_says_why(verify, tmp_path):
    verdicts = verify(sha256={"dev": DIGEST})
    assert verdicts["dev"].judgement == "no raw data"
    assert verdicts["dev"].why == f"write it; put it at {tmp_path}/raw/toy/dev.json"
    assert (verdicts["dev"].rows, verdicts["dev"].expected) == (None, DIGEST)
    assert verdicts["test"].judgement == "no published digest"
    assert not verdicts["dev"].is_wrong


def test_a_corpus_without_any_raw_data_says_why(verify):
    verdicts = verify(readers=(_dev,))
    assert {verdict.judgement for verdict in verdicts.values()} == {"no raw data"}
    assert all("write it" in verdict.why for verdict in verdicts.values())


def test_another_raw_file_is_refused(verify, tmp_path):
    _write(tmp_path, "[]")
    pinned = dataclasses.replace(FILE, sha256="0" * 64)
    verdicts = verify(files=(pinned,))
    assert {verdict.judgement for verdict in verdicts.values()} == {"refused"}
    assert all(verdict.is_wrong for verdict in verdicts.values())
    assert "0" * 64 in verdicts["dev"].why


def test_a_licence_that_is_not_accepted_is_a_reason(verify):
    verdicts = verify(noncommercial=True)
    assert verdicts["train"].judgement == "no raw data"
    assert "--accept_noncommercial" in verdicts["train"].why


def test_rows_that_changed_on_disk_are_found(verify, tmp_path, monkeypatch):
    _write(tmp_path, json.dumps(ROWS))
    assert verify()["train"].judgement == "no published digest"
    load = store.load

    def changed(name, split, *, data_dir):
        rows = load(name, split, data_dir=data_dir)
        return [{**row, "output": row["output"] + "。"} for row in rows]

    monkeypatch.setattr(store, "load", changed)
    verdict = verify()["train"]
    assert (verdict.judgement, verdict.is_wrong) == ("differs", True)
    assert "remove toy/verified from" in verdict.why


def test_a_name_without_a_reader_is_not_left_out(tmp_path):
    (verdict,) = corpora.verify("no_such_corpus", data_dir=tmp_path)
    assert (verdict.corpus, verdict.judgement) == ("no_such_corpus", "no reader")


def test_digests_called_published_are_the_published_ones(spec_dir):
    """The dev files' digests of llm-jp/scripts, evaluation/installers, and those of the cases.

    The two tell different ones of mbpp.
    """
    published: dict[str, set[str]] = {}
    for name, _, sha256 in _published():
        published.setdefault(name, set()).add(sha256)
    for line in (spec_dir / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        if case["metric"] == "dataset_dev_json_sha256":
            published[case["inputs"]["dataset"]] |= set(case["expected"].values())
    called = _called_published()
    assert set(called) >= {"jamp", "janli", "jcommonsenseqa", "jnli", "jsquad", "mawps"}
    for name, digest in called.items():
        assert digest in published.get(name, ()), name


def test_every_verified_corpus_of_llm_jp_eval_pins_its_published_digest():
    digests = _called_published()
    expected = {}
    for name, _, sha256 in _published():
        expected.setdefault(name, set()).add(sha256)
    pinned = {
        name for name in expected if name in corpora.names() and not corpora.get(name).unverified
    }
    assert len(pinned) >= 10
    assert {name for name in pinned if digests.get(name) not in expected[name]} == set()


def _published() -> list[list[str]]:
    """Name, versions of llm-jp-eval and sha256 of each dev file."""
    lines = Path(__file__).with_name("published_sha256.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in lines.splitlines()]


def _called_published() -> dict[str, str]:
    return {
        name: corpus.sha256[split]
        for name in corpora.names()
        for corpus in [corpora.get(name)]
        for split in corpus.published
        if split in corpus.sha256
    }
