"""Examinations, arithmetic and code: which question lands where, and in what form."""

from __future__ import annotations

import ast
import csv
import io
import json
import random
import tarfile
import urllib.error
import urllib.request
from collections import Counter

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, store
from jaxllm.errors import MissingData, UserError


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def _read_splits(name, raw_dir, tmp_path):
    builder = store._builder(name, tmp_path / "prepared")
    builder.raw_dir = raw_dir
    return builder.read_splits()


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def test_jmmlu_has_every_question_once_in_the_published_sizes(raw_dir, tmp_path):
    corpora.prepare(["jmmlu"], data_dir=tmp_path, raw_dir=raw_dir)
    assert corpora.info("jmmlu", tmp_path)["splits"] == {"train": 32, "dev": 3524, "test": 3541}
    rows = [
        row
        for split in ("train", "dev", "test")
        for row in corpora.load("jmmlu", split, data_dir=tmp_path)
    ]
    questions = Counter()
    for file in sorted((raw_dir / "jmmlu/JMMLU").glob("*.csv")):
        text = file.read_text(encoding="utf-8-sig")
        questions.update((row[0], row[5]) for row in csv.reader(io.StringIO(text)))
    assert questions.total() == 7097
    asked = Counter(
        (row["input"].removeprefix("質問：").rpartition("\n選択肢：A.")[0], row["output"])
        for row in rows
    )
    assert asked == questions


def test_jmmlu_of_another_version_is_refused_by_its_digest(tmp_path):
    _write(tmp_path / "raw/jmmlu/JMMLU/econometrics.csv", "問い,ア,イ,ウ,エ,A\n")
    with pytest.raises(UserError, match=r"econometrics\.csv has sha256"):
        _read_splits("jmmlu", tmp_path / "raw", tmp_path)


def _mmlu(folder, sizes):
    """Three splits of subjects with so many questions each, `SUBJECT NUMBER?` with answer B."""
    for original in ("dev", "val", "test"):
        for subject, size in sizes.items():
            rows = "".join(
                f'"{subject} {number}?",one,"two, three",four,five,B\n' for number in range(size)
            )
            _write(folder / original / f"{subject}_{original}.csv", rows)


@pytest.mark.parametrize("name, word", [("mmluen", "Qusetion"), ("mmlu_en", "Question")])
def test_mmlu_asks_each_subject_in_turn(name, word, tmp_path):
    _mmlu(tmp_path / "raw/mmlu/data", {"law": 5, "art": 3, "zoology": 4})
    found, missing = _read_splits(name, tmp_path / "raw", tmp_path)
    assert not missing
    for split in ("train", "dev", "test"):
        head = [pair.input.split("\n")[0] for pair in found[split]]
        orders = {}
        for subject, size in {"art": 3, "law": 5, "zoology": 4}.items():
            orders[subject] = list(range(size))
            random.Random(42).shuffle(orders[subject])
        in_turn = [(subject, orders[subject][turn]) for turn in range(3) for subject in orders]
        rest = [
            ("law", orders["law"][3]),
            ("law", orders["law"][4]),
            ("zoology", orders["zoology"][3]),
        ]
        assert head == [f"{word}: {subject} {number}?" for subject, number in in_turn + rest]
    assert found["dev"][0].input.endswith("?\nChoices: A.one, B.two, three, C.four, D.five")
    assert found["dev"][0].output == "B"


def test_mmlu_comes_as_a_tar_archive(tmp_path):
    _mmlu(tmp_path / "data", {"law": 2})
    (tmp_path / "raw/mmlu").mkdir(parents=True)
    with tarfile.open(tmp_path / "raw/mmlu/data.tar", "w") as packed:
        packed.add(tmp_path / "data", arcname="data")
    found, _ = _read_splits("mmlu_en", tmp_path / "raw", tmp_path)
    assert {split: len(pairs) for split, pairs in found.items()} == {
        "train": 2,
        "dev": 2,
        "test": 2,
    }


def test_mmlu_with_a_row_too_short_names_its_file(tmp_path):
    _mmlu(tmp_path / "raw/mmlu/data", {"law": 2})
    _write(tmp_path / "raw/mmlu/data/val/law_val.csv", "only a question,A\n")
    with pytest.raises(UserError, match=r"law_val\.csv"):
        _read_splits("mmluen", tmp_path / "raw", tmp_path)


def test_mmlu_without_a_folder_misses_that_split(tmp_path):
    _mmlu(tmp_path / "raw/mmlu/data", {"law": 2})
    for file in (tmp_path / "raw/mmlu/data/val").iterdir():
        file.unlink()
    found, missing = _read_splits("mmlu_en", tmp_path / "raw", tmp_path)
    assert set(found) == {"train", "test"}
    assert "holds no CSV files" in missing["dev"]


_EXEMPLARS = '''"""Prompts."""
EXEMPLAR_NUMBER_ANSWERS = [3, 12]
MGSM_EXEMPLARS = {
    "en": {"1": {"q": "Question: how many?", "a": "3"}},
    "ja": {
        "1": {"q": "問題：りんごは" "いくつ？", "a": "3"},
        "2": {"q": "問題：何匹？", "a": "12"},
    },
}


def unused():
    raise RuntimeError("this code is not run")
'''


def test_mgsm_reads_its_shots_from_code_without_running_it(tmp_path):
    _write(tmp_path / "raw/mgsm_ja/exemplars.py", _EXEMPLARS)
    found, missing = _read_splits("mgsm", tmp_path / "raw", tmp_path)
    assert found == {
        "train": [base.Pair("質問：りんごはいくつ？", "3"), base.Pair("質問：何匹？", "12")]
    }
    assert "mgsm_ja.tsv" in missing["test"]


@pytest.mark.parametrize(
    "code",
    [
        "MGSM_EXEMPLARS = {",
        "MGSM_EXEMPLARS = {}",
        _EXEMPLARS.replace("[3, 12]", "[3]"),
        "import os",
    ],
)
def test_mgsm_with_other_code_names_the_file(code, tmp_path):
    _write(tmp_path / "raw/mgsm_ja/exemplars.py", code)
    with pytest.raises(UserError, match=r"exemplars\.py"):
        _read_splits("mgsm", tmp_path / "raw", tmp_path)


def test_mgsm_asks_all_problems_and_misses_shots_that_are_not_here(raw_dir, tmp_path):
    corpora.prepare(["mgsm"], data_dir=tmp_path, raw_dir=raw_dir)
    info = corpora.info("mgsm", tmp_path)
    assert info["splits"] == {"test": 250}
    assert "exemplars.py" in info["missing"]["train"]
    rows = corpora.load("mgsm", "test", data_dir=tmp_path)
    lines = (raw_dir / "mgsm_ja/mgsm_ja.tsv").read_text(encoding="utf-8").splitlines()
    assert [(row["input"], row["output"]) for row in rows] == [
        (f"質問：{question}", answer.replace(",", ""))
        for question, answer in (line.split("\t") for line in lines)
    ]


def _mbpp(count):
    return [
        {
            "task_id": number,
            "text_jpn": f"{number}を足す関数",
            "test_list": [f'assert add(1, "{number}") == 2', "assert add(2) == 3"],
        }
        for number in range(1, count + 1)
    ]


def test_mbpp_gives_the_tests_with_the_question_and_as_the_answer(tmp_path):
    lines = [json.dumps(row, ensure_ascii=False) for row in reversed(_mbpp(100))]
    _write(tmp_path / "raw/mbpp_ja/mbpp_ja.jsonl", "\n".join(lines) + "\n")
    found, _ = _read_splits("mbpp", tmp_path / "raw", tmp_path)
    assert {split: len(pairs) for split, pairs in found.items()} == {
        "train": 32,
        "dev": 34,
        "test": 34,
    }
    order = list(range(1, 101))
    random.Random(42).shuffle(order)
    row = _mbpp(100)[order[32] - 1]
    first = found["dev"][0]
    assert first.input == f"{row['text_jpn']}\nテストケース：\n" + "\n".join(row["test_list"])
    assert ast.literal_eval(first.output) == row["test_list"]


def test_mbpp_says_how_to_get_it_and_names_a_damaged_file(tmp_path):
    with pytest.raises(MissingData, match="llm-jp/mbpp-ja"):
        _read_splits("mbpp", tmp_path / "raw", tmp_path)
    _write(tmp_path / "raw/mbpp_ja/mbpp_ja.jsonl", '{"task_id": 1}\n')
    with pytest.raises(UserError, match=r"mbpp_ja\.jsonl"):
        _read_splits("mbpp", tmp_path / "raw", tmp_path)
