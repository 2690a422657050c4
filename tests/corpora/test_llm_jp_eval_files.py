"""The files of llm-jp-eval: where they lie, what they hold, and their published digests."""

from __future__ import annotations

import hashlib
import json

import pytest

from jaxllm import corpora
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, data_dir):
    """mini/qa as files called qa.json, with an answer of five tokens."""
    folder = tmp_path_factory.mktemp("exported")
    corpora.export("mini/qa", folder, data_dir=data_dir, file_name="qa", output_length=5)
    return folder


def test_the_folder_is_laid_out_as_llm_jp_eval_does(exported):
    assert sorted(str(path.relative_to(exported)) for path in exported.rglob("*.json")) == [
        "evaluation/dev/qa.json",
        "evaluation/test/qa.json",
        "evaluation/train/qa.json",
        "tuning/dev/qa.json",
        "tuning/dev_first100/qa.json",
        "tuning/train/qa.json",
    ]


def test_evaluation_files_hold_the_rows_in_order(exported, data_dir):
    document = json.loads((exported / "evaluation/dev/qa.json").read_text(encoding="utf-8"))
    assert list(document) == ["instruction", "output_length", "metrics", "few_shots", "samples"]
    assert (document["output_length"], document["few_shots"]) == (5, [])
    rows = corpora.load("mini/qa", "dev", data_dir=data_dir)
    assert document["samples"] == [{"input": row["input"], "output": row["output"]} for row in rows]


def test_export_returns_the_digests_of_what_it_wrote(tmp_path, data_dir):
    digests = corpora.export("mini/mt", tmp_path, data_dir=data_dir)
    assert digests == corpora.info("mini/mt", data_dir)["sha256"]
    for split, digest in digests.items():
        written = (tmp_path / f"evaluation/{split}/mini/mt.json").read_bytes()
        assert hashlib.sha256(written).hexdigest() == digest


def test_tuning_files_hold_prompt_and_answer(exported, data_dir):
    first = json.loads((exported / "tuning/train/qa.json").read_text(encoding="utf-8"))[0]
    row = corpora.load("mini/qa", "train", data_dir=data_dir)[0]
    assert list(first) == ["ID", "instruction", "input", "output", "text"]
    assert first["ID"] == "qa-0"
    assert first["text"] == (
        "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。"
        "要求を適切に満たす応答を書きなさい。\n\n### 指示:\n質問に答えてください。"
        f"\n\n### 入力:\n{row['input']}\n\n### 応答:\n{row['output']}"
    )
    document = (exported / "tuning/dev/qa.json").read_text(encoding="utf-8")
    dev = json.loads(document)
    assert document == json.dumps(dev, ensure_ascii=False, indent=4)
    shown = json.loads((exported / "tuning/dev_first100/qa.json").read_text(encoding="utf-8"))
    assert shown == dev[:100]


def test_the_text_is_the_prompt_that_the_template_writes(exported, tiny_tokenizer):
    template = get_template("llm_jp_v1.3")
    for row in json.loads((exported / "tuning/train/qa.json").read_text(encoding="utf-8"))[:5]:
        messages = [
            Message(role="user", content=row["instruction"], context=row["input"]),
            Message(role="assistant", content=row["output"]),
        ]
        ids = template.render(tiny_tokenizer, messages, bos="never").ids[:-1]  # eos behind it
        assert tiny_tokenizer.decode(ids.tolist(), skip_special=False) == row["text"]


@pytest.mark.parametrize("name", ["jcommonsenseqa", "mawps", "jemhopqa"])
def test_exported_files_have_the_published_digests(name, raw_dir, tmp_path):
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_dir)
    digests = corpora.export(name, tmp_path / "out", data_dir=tmp_path)
    assert digests == corpora.get(name).sha256
    for split, digest in digests.items():
        written = (tmp_path / f"out/evaluation/{split}/{name}.json").read_bytes()
        assert hashlib.sha256(written).hexdigest() == digest
