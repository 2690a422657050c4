"""AIO, the quiz questions of the competition 「AI王」 (JAQKET, Suzuki et al. 2020).

llm-jp-eval has had it since 1.4 and reads the dev and the test file of the first competition. It
published the digest of its dev file and not how that is made; here the dev file is split as a train
file, so that there are shots.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_URL = "https://jaqket.s3.ap-northeast-1.amazonaws.com/data/aio_02"


def _file(name: str) -> raw.RawFile:
    return raw.RawFile(path=f"aio/{name}", url=f"{_URL}/{name}")


_DEV = _file("aio_01_dev.jsonl")
_TEST = _file("aio_01_test.jsonl")


def _pairs(open_raw: base.OpenRaw, file: raw.RawFile) -> list[base.Pair]:
    lines = open_raw(file.path).read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    return [base.Pair(f"質問：{row['question']}", row["answers"][0]) for row in rows]


def _read_dev(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    train, dev = splits.train_and_dev(_pairs(open_raw, _DEV))
    return {"train": train, "dev": dev}


def _read_test(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return {"test": _pairs(open_raw, _TEST)}


AIO = base.Corpus(
    name="aio",
    source="jaqket.s3.ap-northeast-1.amazonaws.com data/aio_02, first competition",
    licence="CC BY-SA 4.0",
    files=(_DEV, _TEST),
    instruction=(
        "質問を入力とし、回答を出力してください。回答の他には何も含めないことを厳守してください。"
    ),
    output_length=50,
    metrics=("char_f1",),
    sha256={"dev": "98d951150a86ce9d96caa0d53262a9bc2eb6d1cf91a0c191089eae2af452be3f"},
    unverified=(
        "how the dev file is split, the form of an input and which of several answers is taken are"
        " not published; the digest of dev was not compared, for want of the raw files"
    ),
    readers=(_read_dev, _read_test),
)


class Aio(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(AIO)
