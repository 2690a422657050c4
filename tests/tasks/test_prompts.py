"""The prompts of llm-jp-eval 1.3.1 over real data, written here from the exported files."""

from __future__ import annotations

import json

import pytest

from jaxllm import corpora, tasks
from jaxllm.errors import MissingData
from jaxllm.text.templates import get_template

SUITE = tasks.get_suite("llm-jp-eval/v1.3.1")
OPENING = (
    "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。"
    "要求を適切に満たす応答を書きなさい。\n\n### 指示:\n"
)


class Written:
    """Takes the place of a SpanWriter and keeps the text."""

    def __init__(self):
        self.text_so_far = ""

    def text(self, text, *, trained=False):
        self.text_so_far += text


def _text(task, messages):
    writer = Written()
    get_template(task.template).write(writer, messages)
    return writer.text_so_far


@pytest.fixture(scope="module")
def prepared(raw_dir, tmp_path_factory):
    """The folder of prepared corpora, and why some of the suite are not among them."""
    folder = tmp_path_factory.mktemp("prepared")
    missing = {}
    for task in SUITE.tasks:
        if task.corpus not in corpora.names():
            missing[task.corpus] = "not read"
            continue
        try:
            corpora.prepare([task.corpus], data_dir=folder, raw_dir=raw_dir)
        except MissingData as error:
            missing[task.corpus] = str(error)
    return folder, missing


@pytest.mark.slow
@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.corpus)
def test_a_prompt_is_the_template_over_the_exported_files(prepared, tmp_path, task):
    data_dir, missing = prepared
    if task.corpus in missing:
        pytest.skip(missing[task.corpus])
    corpora.export(task.corpus, tmp_path, data_dir=data_dir)
    files = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in (tmp_path / "evaluation").glob("*/*.json")
    }
    if not {"train", "dev"} <= files.keys():
        with pytest.raises(MissingData, match="prepared without its split"):
            tasks.load_samples(task, split="dev", data_dir=data_dir)
        pytest.skip(f"only {', '.join(files)} can be made from the raw files at hand")
    sample = tasks.load_samples(task, split="dev", data_dir=data_dir, max_samples=1)[0]
    first = files["dev"]["samples"][0]
    blocks = [
        f"### 入力:\n{shot['input']}\n\n### 応答:\n{shot['output']}"
        for shot in files["train"]["samples"][:4]
    ]
    blocks.append(f"### 入力:\n{first['input']}\n\n### 応答:\n")
    expected = OPENING + files["dev"]["instruction"] + "\n\n" + "\n\n".join(blocks)
    assert _text(task, sample.messages) == expected
    assert sample.gold == first["output"]
    assert task.max_new_tokens == files["dev"]["output_length"]
