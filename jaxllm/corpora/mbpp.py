"""MBPP in Japanese (llm-jp/mbpp-ja): Python functions to write so that given assertions hold.

The answer to a question is the Python literal of a list of its assertions; whoever scores runs them
after the code of the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_PROBLEMS = raw.RawFile(
    path="mbpp_ja/mbpp_ja.jsonl",
    by_hand=(
        "save the train split of https://huggingface.co/datasets/llm-jp/mbpp-ja as JSON lines with"
        " its fields task_id, text_jpn and test_list"
    ),
)


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    path = open_raw(_PROBLEMS.path)
    with raw.reading(path):
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = sorted((json.loads(line) for line in lines if line), key=lambda row: row["task_id"])
        train, dev, test = splits.shots_dev_and_test([_pair(row) for row in rows])
    return {"train": train, "dev": dev, "test": test}


def _pair(row: Mapping) -> base.Pair:
    assertions = list(map(str, row["test_list"]))
    tests = "\n".join(assertions)
    return base.Pair(f"{row['text_jpn']}\nテストケース：\n{tests}", repr(assertions))


MBPP = base.Corpus(
    name="mbpp",
    source="Hugging Face llm-jp/mbpp-ja",
    licence="CC BY 4.0",
    files=(_PROBLEMS,),
    instruction=(
        "あなたはPythonを専門にするプログラマです。タスクは下記の通りであり、あなたが書いたコードは"
        "入力に書かれたテストケースを通過する必要があります。"
        "返答にはコードだけを平文で書いてください。```は入れないでください。"
    ),
    output_length=1000,
    metrics=("code_exec", "pylint_check"),
    sha256={"dev": "92ad569be57387e1103d859bfb8020a47bda24965e551bf2ae98c20847613c6d"},
    unverified=(
        "the form of an input and the splits are not published; the digest of dev was not compared,"
        " for want of the raw file"
    ),
    readers=(_read,),
)


class Mbpp(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(MBPP)
