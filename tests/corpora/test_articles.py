"""Corpora that come as archives of texts: sentiment, translation, summaries."""

from __future__ import annotations

import json
import random
import tarfile
import urllib.error
import urllib.request
import zipfile

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, store
from jaxllm.errors import MissingData, UserError


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def _read_splits(name, tmp_path):
    builder = store._builder(name, tmp_path / "prepared")
    builder.raw_dir = tmp_path / "raw"
    return builder.read_splits()


def _zip(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)


def _tar(path, files, mode, tmp_path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as packed:
        for name, text in files.items():
            file = tmp_path / "packed"
            file.write_text(text, encoding="utf-8")
            packed.add(file, arcname=name)


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _in_order(rows):
    rows = list(rows)
    random.Random(42).shuffle(rows)
    return rows


def _report(sentences):
    rows = [
        {
            "sentence": sentence,
            "opinions": [{"target": target, "polarity": polarity} for target, polarity in opinions],
        }
        for sentence, opinions in sentences
    ]
    return json.dumps({"header": {}, "sentences": rows}, ensure_ascii=False)


def test_chabsa_reads_the_reports_by_name_and_drops_sentences_without_opinion(tmp_path):
    reports = {
        f"chABSA-dataset/e{number:05}_ann.json": _report(
            [
                (f"第{number}期は増収。", [("当社", "positive"), ("市場", "negative")]),
                ("何も言わない。", []),
            ]
        )
        for number in reversed(range(20))
    }
    extras = {"__MACOSX/chABSA-dataset/._e00001_ann.json": "\0", "chABSA-dataset/README.md": "-"}
    _zip(tmp_path / "raw/chabsa/chABSA-dataset.zip", reports | extras)
    found, missing = _read_splits("chabsa", tmp_path)
    assert not missing
    numbers = _in_order(range(20))
    expected = [
        base.Pair(f"文章：第{number}期は増収。", "当社 positive\n市場 negative")
        for number in numbers
    ]
    assert found == {"train": expected[:16], "dev": expected[16:18], "test": expected[18:]}


def test_chabsa_says_where_it_is_and_names_a_damaged_report(tmp_path):
    with pytest.raises(MissingData, match="kaggle"):
        _read_splits("chabsa", tmp_path)
    report = tmp_path / "raw/chabsa/chABSA-dataset/e00008_ann.json"
    for damage in ("{", "[]", '{"sentences": [{"sentence": "文"}]}'):
        _write(report, damage)
        with pytest.raises(UserError, match=r"e00008_ann\.json"):
            _read_splits("chabsa", tmp_path)
    report.unlink()
    with pytest.raises(MissingData, match="holds no"):
        _read_splits("chabsa", tmp_path)


_ALT = {
    "en": {"SNT.7.1": "Seven.", "SNT.7.2": "Only here.", "SNT.9.1": "x" * 300, "SNT.8.1": "Eight."},
    "ja": {"SNT.7.1": "七。", "SNT.9.1": "九" * 200, "SNT.8.1": "八。", "SNT.9.2": "こちらだけ。"},
}


def _alt(tmp_path):
    release = "ALT-Parallel-Corpus-20191206"
    files = {
        f"{release}/data_{language}.txt": "".join(
            f"{id}\t{text}\n" for id, text in sentences.items()
        )
        for language, sentences in _ALT.items()
    }
    _zip(tmp_path / f"raw/alt/{release}.zip", files)
    for split in ("train", "dev"):
        articles = "URL.8\thttp://a\nURL.7\thttp://b\nURL.9\thttp://c\nURL.1\thttp://d\n"
        _write(tmp_path / f"raw/alt/URL-{split}.txt", articles)


def test_alt_goes_by_the_list_of_articles_and_drops_long_pairs(tmp_path):
    _alt(tmp_path)
    found, missing = _read_splits("alt-e-to-j", tmp_path)
    assert found["dev"] == [base.Pair("Eight.", "八。"), base.Pair("Seven.", "七。")]
    assert found["train"] == found["dev"]
    assert "URL-test.txt" in missing["test"]
    found, _ = _read_splits("alt-j-to-e", tmp_path)
    assert found["dev"] == [base.Pair("八。", "Eight."), base.Pair("七。", "Seven.")]


def test_alt_pairs_of_less_than_500_characters_stay(tmp_path):
    _alt(tmp_path)
    english = tmp_path / "prepared/raw/alt/ALT-Parallel-Corpus-20191206/data_en.txt"
    _read_splits("alt-e-to-j", tmp_path)  # unpacks it
    english.write_text(f"SNT.9.1\t{'x' * 299}\n", encoding="utf-8")
    found, _ = _read_splits("alt-e-to-j", tmp_path)
    assert found["dev"] == [base.Pair("x" * 299, "九" * 200)]


def test_alt_names_a_damaged_file(tmp_path):
    _alt(tmp_path)
    folder = tmp_path / "raw/alt/ALT-Parallel-Corpus-20191206"
    _write(folder / "data_en.txt", "SNT.7.1\tone\ttwo\n")
    _write(folder / "data_ja.txt", "SNT.7.1\t一\n")
    with pytest.raises(UserError, match=r"data_en\.txt"):
        _read_splits("alt-e-to-j", tmp_path)
    (folder / "data_en.txt").unlink()
    with pytest.raises(UserError, match=r"data_en\.txt"):
        _read_splits("alt-e-to-j", tmp_path)


def _article(number):
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<art orl="ja" trl="en"><tit><j>題</j><e type="check" ver="1">Title</e></tit>
<par id="1"><sen id="1"><j>第{number}条&第一文。</j><e type="trans" ver="1">Draft.</e>
<e type="check" ver="1">Article {number} & first.</e></sen>
<sen id="2"><j>第二文。</j><e type="check" ver="1">Second.</e></sen></par>
<sec id="1"><par id="2"><sen id="3"><j>{"長" * 250}</j><e type="check" ver="1">{"l" * 250}</e></sen>
</par><par id="3"><sen id="4"><j>訳のない文。</j><e type="trans" ver="1">Draft.</e></sen></par>
<par id="4"><sen id="5"><j>末。</j><e type="check" ver="1">End {number}.</e></sen></par></sec></art>
"""


@pytest.mark.parametrize("around", ["", "wiki_corpus_2.01/"])
def test_wikicorpus_splits_articles_and_pairs_their_paragraphs(around, tmp_path):
    files = {
        f"{around}{folder}/{folder}{number:05}.xml": _article(f"{folder}{number}")
        for folder in ("SCL", "BDS")
        for number in reversed(range(10))
    }
    archive = tmp_path / "raw/wikicorpus/wiki_corpus_2.01.tar.gz"
    _tar(archive, files | {"kyoto_lexicon.csv": "-"}, "w:gz", tmp_path)
    found, missing = _read_splits("wikicorpus-j-to-e", tmp_path)
    assert not missing
    names = _in_order(f"{folder}{number}" for folder in ("BDS", "SCL") for number in range(10))
    pairs = [
        [
            base.Pair(f"第{name}条&第一文。 第二文。", f"Article {name} & first. Second."),
            base.Pair("末。", f"End {name}."),
        ]
        for name in names
    ]
    assert found["train"] == [pair for article in pairs[:16] for pair in article]
    assert found["dev"] == [pair for article in pairs[16:18] for pair in article]
    assert found["test"] == [pair for article in pairs[18:] for pair in article]
    other, _ = _read_splits("wikicorpus-e-to-j", tmp_path)
    assert other["dev"] == [base.Pair(pair.output, pair.input) for pair in found["dev"]]


def test_wikicorpus_names_a_damaged_article(tmp_path):
    folder = tmp_path / "raw/wikicorpus/wiki_corpus_2.01"
    _write(folder / "BDS/BDS00001.xml", _article(1)[:300])
    with pytest.raises(UserError, match=r"BDS00001\.xml"):
        _read_splits("wikicorpus-e-to-j", tmp_path)
    (folder / "BDS/BDS00001.xml").unlink()
    with pytest.raises(MissingData, match="holds no XML files"):
        _read_splits("wikicorpus-e-to-j", tmp_path)


def _news(*texts):
    rows = [{"id": "1", "text": text, "summary": f"要約{len(text)}"} for text in texts]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_xlsum_drops_articles_that_are_too_long_and_asks_for_its_licence(tmp_path):
    files = {
        "japanese_train.jsonl": _news("記" * 10, "記" * 2001, "記" * 2000),
        "japanese_val.jsonl": _news("短い"),
        "japanese_test.jsonl": _news("長い記事"),
    }
    _tar(tmp_path / "raw/xlsum_ja/japanese_XLSum_v2.0.tar.bz2", files, "w:bz2", tmp_path)
    with pytest.raises(MissingData, match="accept_noncommercial"):
        corpora.prepare(["xlsum_ja"], data_dir=tmp_path / "p", raw_dir=tmp_path / "raw")
    corpora.prepare(
        ["xlsum_ja"],
        data_dir=tmp_path / "p",
        raw_dir=tmp_path / "raw",
        accept_noncommercial=True,
    )
    rows = corpora.load("xlsum_ja", "train", data_dir=tmp_path / "p")
    assert [(row["input"], row["output"]) for row in rows] == [
        ("記" * 10, "要約10"),
        ("記" * 2000, "要約2000"),
    ]
    assert corpora.load("xlsum_ja", "dev", data_dir=tmp_path / "p")[0]["output"] == "要約2"
    assert corpora.load("xlsum_ja", "test", data_dir=tmp_path / "p")[0]["output"] == "要約4"


def test_xlsum_says_where_it_is_and_names_a_damaged_file(tmp_path):
    with pytest.raises(MissingData, match="csebuetnlp/xlsum"):
        _read_splits("xlsum_ja", tmp_path)
    folder = tmp_path / "raw/xlsum_ja/japanese_XLSum_v2.0"
    _write(folder / "japanese_train.jsonl", '{"text": "本文"}\n')
    with pytest.raises(UserError, match=r"japanese_train\.jsonl"):
        _read_splits("xlsum_ja", tmp_path)
