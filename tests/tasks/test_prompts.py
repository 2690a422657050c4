"""The prompts of llm-jp-eval 1.3.1 over real data, written here from the exported files."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

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


# The others take seconds each.
QUICK = ("mawps", "jemhopqa")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=task.corpus, marks=() if task.corpus in QUICK else pytest.mark.slow)
        for task in SUITE.tasks
    ],
)
def test_a_prompt_is_the_template_over_the_exported_files(raw_dir, tmp_path, task):
    if task.corpus not in corpora.names():
        pytest.skip("this program does not read it")
    data_dir, out = tmp_path / "data", tmp_path / "out"
    try:
        corpora.prepare([task.corpus], data_dir=data_dir, raw_dir=raw_dir)
    except MissingData as error:
        pytest.skip(str(error))
    corpora.export(task.corpus, out, data_dir=data_dir)
    files = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in (out / "evaluation").glob("*/*.json")
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
