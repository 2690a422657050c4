"""What the raw files of each origin become: the published rows, byte for byte, where they are here.

Small raw files written below show each reader's work everywhere.
"""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request

import pytest

from jaxllm import corpora
from jaxllm.corpora import base
from jaxllm.errors import MissingData

# Rows of each split that the raw files below `raw_dir` suffice for.
_ROWS = {
    "jamp": {"train": 8955, "dev": 995, "test": 348},
    "janli": {"train": 12312, "dev": 1368, "test": 720},
    "jnli": {"test": 2434},
    "jsem": {"train": 12667, "dev": 1583, "test": 1584},
    "jsick": {"train": 4500, "dev": 500},
    "jsquad": {"test": 4442},
    "jsts": {"train": 11205, "dev": 1246, "test": 1457},
    "niilc": {"train": 715, "dev": 80},
    "commonsensemoralja": {"train": 13975, "dev": 1996},
    "jcola-in-domain": {"train": 6227, "dev": 692, "test": 865},
}
# What llm-jp-eval published for its dev files (sha256sums.csv of its installers).
_PUBLISHED = {
    "jamp": "bee9d6124ccc20b02e2dc42b75c0548f9caf0a8c88af164ee726eebdb28c17cc",
    "janli": "9d6694bebbe78c5c02b4fd5da8af930c03cb65d7766042cfe5cad9031a9ce6ef",
    "jsem": "a5bb328dfbe008cdd2595cdaa2cacfb17086506ba1776ec01cbb8cc002d7f329",
    "jsick": "bd4291ab4b325654ec8e1b9f2f4d69f6508b7d071d4da41b7cafc9eeb297f33e",
    "jsts": "e17f77bdd3ffc3cccf4b3a1af8a1463b8cae260ba8c607188b8e4b45f468806e",
    "niilc": "ff0cf49012ad6416b0828cbcf16882cafc68c30483e4ef51863641d23fe1befc",
    "commonsensemoralja": "7e0189d02f62b129978411b6f9887c5e903c23ff380d20e81da139c85ee7da3b",
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.parametrize("name", _ROWS)
def test_prepared_and_exported_splits_are_the_pinned_ones(name, raw_dir, tmp_path):
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_dir)
    found = corpora.info(name, tmp_path)["splits"]
    assert {split: found.get(split) for split in _ROWS[name]} == _ROWS[name]
    pinned = corpora.get(name).sha256
    digests = corpora.export(name, tmp_path / "out", data_dir=tmp_path)
    for split, digest in digests.items():
        assert digest == pinned.get(split, digest)
        text = (tmp_path / f"out/evaluation/{split}/{name}.json").read_text(encoding="utf-8")
        assert base.digest(text) == digest
    if name in _PUBLISHED:
        assert digests["dev"] == _PUBLISHED[name]


def _read(name, files, tmp_path):
    """The splits of a corpus whose raw files hold these texts; the others are not there."""
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")

    def open_raw(path):
        if not (tmp_path / path).exists():
            raise MissingData(path)
        return tmp_path / path

    splits = {}
    for reader in corpora.get(name).readers:
        try:
            splits |= reader(open_raw)
        except MissingData:
            continue
    return splits


def _jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    "name, files, expected",
    [
        (
            "jamp",
            {"jamp/test_2.tsv": "num\tpremise\n7\t昨日晴れた。\t今日晴れた。\tneutral\t1\n"},
            {"test": [("前提：昨日晴れた。\n仮説：今日晴れた。", "neutral")]},
        ),
        (
            "janli",
            {
                "janli/janli.tsv": "\ta\tb\tlabel\tsplit\n"
                "0\t猫が寝た\t寝た\tentailment\ttrain\n"
                '1\t"犬が寝た\t猫が寝た\tnon-entailment\ttest\n'
            },
            {
                "train": [],
                "dev": [("前提：猫が寝た\n仮説：寝た", "entailment")],
                "test": [('前提："犬が寝た\n仮説：猫が寝た', "non-entailment")],
            },
        ),
        (
            "jnli",
            {
                "jglue/jnli-v1.1/valid-v1.1.json": _jsonl(
                    {"sentence1": "猫がいる", "sentence2": "犬がいる", "label": "contradiction"}
                )
            },
            {"test": [("前提：猫がいる\n仮説：犬がいる", "contradiction")]},
        ),
        (
            "jsick",
            {"jsick/jsick/test.tsv": "pair_ID\n" + "1\t" + "\t" * 7 + "座る\t立つ\tneutral\t\n"},
            {"test": [("前提：座る\n仮説：立つ", "neutral")]},
        ),
        (
            "jsts",
            {
                "jglue/jsts-v1.3/valid-v1.3.json": _jsonl(
                    {"sentence1": "川", "sentence2": "海", "label": 3.799999952316284}
                )
            },
            {"test": [("文1：川\n文2：海", "3.799999952316284")]},
        ),
        (
            "jsquad",
            {
                "jglue/jsquad-v1.3/valid-v1.3.json": '{"data": [{"paragraphs": [{"context":'
                ' "梅雨 [SEP] 雨の季節。", "qas": [{"question": "梅雨とは？", "answers":'
                ' [{"text": "雨の季節"}, {"text": "雨"}]}]}]}]}'
            },
            {"test": [("文章：梅雨 [SEP] 雨の季節。\n質問：梅雨とは？", "雨の季節")]},
        ),
        (
            "niilc",
            {
                "niilc/data/NIILC-ECQA2015_test.xml": "<questions>"
                "<question><text>三大美林は？</text><answers><answer>青森ヒバ</answer>"
                "<answer> 秋田スギ </answer><answer></answer></answers></question>"
                "<question><text>答えは？</text><answers><answer>-</answer></answers></question>"
                "</questions>"
            },
            {"test": [("質問：三大美林は？", "青森ヒバ,秋田スギ")]},
        ),
        (
            "commonsensemoralja",
            {"commonsense_moral_ja/data_test.csv": ',sent,label\n0,"列に並び,待った",0\n'},
            {"test": [("文章：列に並び,待った", "0")]},
        ),
        (
            "kuci",
            {
                "kuci/dataset/dev.jsonl": _jsonl(
                    {
                        "context": "電池 が 減る ので 、",
                        **{f"choice_{letter}": letter.upper() for letter in "abcd"},
                        "label": "d",
                    }
                )
            },
            {"dev": [("文脈：電池 が 減る ので 、\n選択肢：0.A,1.B,2.C,3.D", "3")]},
        ),
        (
            "aio",
            {
                "aio/aio_01_test.jsonl": _jsonl(
                    {"question": "日本一高い山は何でしょう？", "answers": ["富士山", "富士"]}
                )
            },
            {"test": [("質問：日本一高い山は何でしょう？", "富士山")]},
        ),
        (
            "jcola-in-domain",
            {
                "jcola/jcola-v1.0/in_domain_valid-v1.0.json": _jsonl(
                    {"sentence": "本を買われた。", "label": 1, "diacritic": "g"}
                )
            },
            {"test": [("文章：本を買われた。", "1")]},
        ),
    ],
)
def test_rows_of_small_raw_files(name, files, expected, tmp_path):
    found = _read(name, files, tmp_path)
    assert {
        split: [tuple(pair)[:2] for pair in pairs] for split, pairs in found.items()
    } == expected


def test_jsem_joins_premises_and_drops_problems_without_one_of_the_four_answers(tmp_path):
    def problem(answer, *premises):
        inner = "".join(f"<p><script> {premise} </script></p>" for premise in premises)
        return f'<problem answer="{answer}">{inner}<h><script>{answer}か</script></h></problem>'

    answers = ["yes", "no", "unknown", "undef", "unacceptable", "weakacceptable", ""]
    problems = "".join(problem(answer, "雨だ。", "寒い。") for answer in answers)
    empty = "<jsem-dataset></jsem-dataset>"
    files = {file.path: empty for file in corpora.get("jsem").files}
    files["jsem/v1.0/Verbs.xml"] = f"<jsem-dataset>{problems}</jsem-dataset>"
    found = _read("jsem", files, tmp_path)
    pairs = [pair for split in ("train", "dev", "test") for pair in found[split]]
    assert len(found["train"]) == 3
    assert sorted(pair.output for pair in pairs) == ["no", "undef", "unknown", "yes"]
    assert {pair.input for pair in pairs} == {
        f"前提：雨だ。寒い。\n仮説：{answer}か" for answer in answers[:4]
    }


def test_jblimp_puts_the_right_sentence_first_as_often_as_second(tmp_path):
    rows = [{"good_sentence": f"正{index}", "bad_sentence": f"誤{index}"} for index in range(331)]
    path = "jblimp/data/validated/validated_minimal_pairs.jsonl"
    found = _read("jblimp", {path: _jsonl(*rows)}, tmp_path)
    assert {split: len(pairs) for split, pairs in found.items()} == {
        "train": 32,
        "dev": 149,
        "test": 150,
    }
    pairs = [pair for split in found.values() for pair in split]
    for pair in pairs:
        sentences = dict(line.split("：") for line in pair.input.split("\n"))
        assert sentences[pair.output].startswith("正")
        assert {sentence[0] for sentence in sentences.values()} == {"正", "誤"}
    assert 130 < sum(pair.output == "a" for pair in pairs) < 200


def test_jcola_out_of_domain_gives_32_rows_to_train(tmp_path):
    rows = [{"sentence": f"文{index}。", "label": index % 2} for index in range(100)]
    path = "jcola/jcola-v1.0/out_of_domain_valid-v1.0.json"
    found = _read("jcola-out-of-domain", {path: _jsonl(*rows)}, tmp_path)
    assert {split: len(pairs) for split, pairs in found.items()} == {
        "train": 32,
        "dev": 34,
        "test": 34,
    }
    inputs = {pair.input: pair.output for split in found.values() for pair in split}
    assert inputs == {f"文章：{row['sentence']}": str(row["label"]) for row in rows}


def test_commonsense_is_shuffled_with_seed_42(tmp_path):
    lines = [f"{index},文{index},{index % 2}" for index in range(30)]
    text = "\n".join([",sent,label", *lines]) + "\n"
    found = _read("commonsensemoralja", {"commonsense_moral_ja/data_test.csv": text}, tmp_path)
    order = list(range(30))
    random.Random(42).shuffle(order)
    assert found == {"test": [base.Pair(f"文章：文{index}", str(index % 2)) for index in order]}


@pytest.mark.parametrize(
    "name, path, text, there",
    [
        (
            "jnli",
            "jglue/jnli-v1.1/train-v1.1.json",
            _jsonl(*[{"sentence1": "一", "sentence2": "二", "label": "neutral"}] * 10),
            {"train": 9, "dev": 1},
        ),
        (
            "niilc",
            "niilc/data/NIILC-ECQA2015_test.xml",
            "<questions><question><text>何？</text><answer>本</answer></question></questions>",
            {"test": 1},
        ),
        (
            "kuci",
            "kuci/dataset/train.jsonl",
            _jsonl({"context": "雨で", **{f"choice_{x}": x for x in "abcd"}, "label": "a"}),
            {"train": 1},
        ),
    ],
)
def test_a_corpus_goes_on_without_the_splits_whose_raw_file_is_not_here(
    name, path, text, there, tmp_path
):
    raw_dir = tmp_path / "raw"
    (raw_dir / path).parent.mkdir(parents=True)
    (raw_dir / path).write_text(text, encoding="utf-8")
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_dir)
    info = corpora.info(name, tmp_path)
    assert info["splits"] == there
    assert set(info["missing"]) == {"train", "dev", "test"} - set(there)
    for split, why in info["missing"].items():
        assert "https://raw.githubusercontent.com/" in why
        assert str(raw_dir) in why
        with pytest.raises(MissingData, match="was prepared without its split"):
            corpora.load(name, split, data_dir=tmp_path)


def test_a_corpus_without_any_raw_file_is_missing_as_a_whole(tmp_path):
    with pytest.raises(MissingData, match=r"aio_01_dev\.jsonl"):
        corpora.prepare(["aio"], data_dir=tmp_path, raw_dir=tmp_path)
