"""The tasks on the Wikipedia Annotated Corpus: on a document written here, and as published."""

from __future__ import annotations

import re
import shutil
import tarfile
import urllib.error
import urllib.request

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, store
from jaxllm.errors import MissingData, UserError

_NAMES = ("wiki_reading", "wiki_ner", "wiki_dependency", "wiki_pas", "wiki_coreference")
# Of dev as published by llm-jp-eval, of test as derived from the same reader.
_DIGESTS = {
    "wiki_reading": {
        "dev": "a7effd48ba08ce8be97df1736ccb39351d1b954f067593fa3975f105d089009e",
        "test": "e190094e21b3786e5d461c55bea7a9c554bfc228c55c5816897495833684125f",
    },
    "wiki_dependency": {
        "dev": "de405fe7788d0ffa1d31398caa1d4bdf56728c3f3f5a9485f43ee68d3ea403a4",
        "test": "d76775c7e050b1b860a38d83425f6fc0756d063ac1b8a0a62e966719fb93d0c6",
    },
}
# 花子は京都でNHKを見る。彼女も（きょうと　へ）行く。
_DOCUMENT = """\
# S-ID:wiki99990001-00-01 MEMO:
* 3D
+ 3D <NE:PERSON:花子>
花子 はなこ 花子 名詞 6 人名 5 * 0 * 0
は は は 助詞 9 副助詞 2 * 0 * 0
* 3D
+ 3D <NE:LOCATION:京都>
京都 きょうと/みやこ 京都 名詞 6 地名 4 * 0 * 0
で で で 助詞 9 格助詞 1 * 0 * 0
* 3D
+ 3D <NE:OPTIONAL:NHK>
NHK NHK NHK 名詞 6 組織名 6 * 0 * 0
を を を 助詞 9 格助詞 1 * 0 * 0
* -1D
+ -1D <rel type="ガ" target="花子" sid="wiki99990001-00-01" id="0"/>\
<rel type="デ" target="京都" sid="wiki99990001-00-01" id="1"/>\
<rel type="ヲ" target="NHK" sid="wiki99990001-00-01" id="2"/>
見る みる 見る 動詞 2 * 0 母音動詞 1 基本形 2
。 。 。 特殊 1 句点 1 * 0 * 0
EOS
# S-ID:wiki99990001-01-01 括弧削除 MEMO:
* 1D
+ 1D <rel type="=" target="花子" sid="wiki99990001-00-01" id="0"/>
彼女 かのじょ 彼女 名詞 6 普通名詞 1 * 0 * 0
も も も 助詞 9 副助詞 2 * 0 * 0
* -1D
+ -1D <rel type="ガ２" target="彼女" sid="wiki99990001-01-01" id="0"/>\
<rel type="ニ" target="きょうと" sid="wiki99990001-01-02" id="0"/>\
<rel type="ヲ" target="不特定:物"/>
行く いく 行く 動詞 2 * 0 子音動詞カ行促音便形 3 基本形 2
。 。 。 特殊 1 句点 1 * 0 * 0
EOS
# S-ID:wiki99990001-01-02 括弧始:（ 括弧終:） 括弧位置:3 MEMO:
* -1D
+ -1D <NE:LOCATION:きょうと>
きょうと きょうと きょうと 名詞 6 地名 4 * 0 * 0
　 　 　 特殊 1 空白 6 * 0 * 0
へ へ へ 助詞 9 格助詞 1 * 0 * 0
EOS
"""
_TEXT = "花子は京都でNHKを見る。彼女も行く。"
_ASKED = {
    "wiki_reading": (_TEXT, "はなこはきょうとでえぬえいちけーをみる。かのじょもいく。"),
    "wiki_ner": (
        "花子は京都でNHKを見る。彼女も（きょうと　へ）行く。",
        "花子（人名） 京都（地名） きょうと（地名）",
    ),
    "wiki_dependency": (
        _TEXT,
        "花子は -> 見る。\n京都で -> 見る。\nNHKを -> 見る。\n彼女も -> 行く。",
    ),
    "wiki_pas": (_TEXT, "見る ガ：花子 デ：京都 ヲ：NHK\n行く ガ：彼女"),
    "wiki_coreference": (_TEXT, "花子 彼女"),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def small_raw_dir(tmp_path):
    """One document of dev, one of two of train, none of test."""
    folder = tmp_path / "raw" / "wiki_annotated"
    _write(folder / "id" / "dev.id", "wiki99990001\n")
    _write(folder / "id" / "train.id", "wiki99990001\nwiki99990002\n")
    _write(folder / "knp" / "wiki9999" / "wiki99990001.knp", _DOCUMENT)
    return tmp_path / "raw"


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _read_splits(name, raw_dir, tmp_path):
    builder = store._builder(name, tmp_path / "prepared")
    builder.raw_dir = raw_dir
    return builder.read_splits()


@pytest.fixture(scope="module")
def prepared(raw_dir, tmp_path_factory):
    """All five from the whole raw data, once."""
    folder = tmp_path_factory.mktemp("prepared")
    corpora.prepare(_NAMES, data_dir=folder, raw_dir=raw_dir)
    return folder


@pytest.mark.parametrize("name", _NAMES)
def test_what_a_task_asks_of_a_document(name, small_raw_dir, tmp_path):
    found, missing = _read_splits(name, small_raw_dir, tmp_path)
    assert found == {"dev": [base.Pair(*_ASKED[name])]}
    assert set(missing) == {"train", "test"}
    assert "1 of the 2 train documents" in missing["train"]
    assert "test.id" in missing["test"]


def test_documents_without_an_answer_are_dropped(small_raw_dir, tmp_path):
    file = small_raw_dir / "wiki_annotated/knp/wiki9999/wiki99990001.knp"
    file.write_text(re.sub("<NE:[A-Z]+:[^>]+>", "", _DOCUMENT), encoding="utf-8")
    found, _ = _read_splits("wiki_ner", small_raw_dir, tmp_path)
    assert found == {"dev": []}


def test_the_archive_of_the_tag_is_unpacked(small_raw_dir, tmp_path):
    folder = small_raw_dir / "wiki_annotated"
    with tarfile.open(small_raw_dir / "wiki_annotated.tar.gz", "w:gz") as packed:
        packed.add(folder, arcname="WikipediaAnnotatedCorpus-1.1.2")
    shutil.rmtree(folder)
    found, _ = _read_splits("wiki_dependency", small_raw_dir, tmp_path)
    assert found == {"dev": [base.Pair(*_ASKED["wiki_dependency"])]}


def test_nothing_here_is_told_with_the_address(tmp_path):
    with pytest.raises(MissingData, match="WikipediaAnnotatedCorpus/archive"):
        _read_splits("wiki_pas", tmp_path / "empty", tmp_path)


@pytest.mark.parametrize("damage", [_DOCUMENT[:200], "何でもない\n", b"\xff\xfe"])
def test_a_damaged_document_is_named(damage, small_raw_dir, tmp_path):
    file = small_raw_dir / "wiki_annotated/knp/wiki9999/wiki99990001.knp"
    file.write_bytes(damage if isinstance(damage, bytes) else damage.encode("utf-8"))
    with pytest.raises(UserError, match=r"wiki99990001\.knp"):
        _read_splits("wiki_reading", small_raw_dir, tmp_path)


@pytest.mark.parametrize("name", _NAMES)
def test_train_is_missing_while_not_all_of_its_documents_are_here(name, prepared):
    reason = corpora.info(name, prepared)["missing"]["train"]
    assert "of the" in reason
    assert "train documents" in reason


@pytest.mark.parametrize("name", _DIGESTS)
def test_exported_splits_have_the_published_digests(name, prepared, tmp_path):
    corpora.export(name, tmp_path, data_dir=prepared)
    for split, digest in _DIGESTS[name].items():
        text = (tmp_path / f"evaluation/{split}/{name}.json").read_text(encoding="utf-8")
        assert base.digest(text) == digest


def test_as_many_texts_have_entities_as_in_the_published_files(prepared):
    splits = corpora.info("wiki_ner", prepared)["splits"]
    assert splits == {"dev": 64, "test": 113}
