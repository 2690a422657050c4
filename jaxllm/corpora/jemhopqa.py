"""JEMHopQA (Ishii et al. 2024): questions that take two hops, answered with a name or YES and NO.

llm-jp-eval reads `corpus/`, splits its train file and takes its dev file as test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "fed5024f4f39f02727e699cb7ccb67935a779a5a"
_URL = f"https://raw.githubusercontent.com/aiishii/JEMHopQA/{_COMMIT}"


def _file(path: str, sha256: str) -> raw.RawFile:
    return raw.RawFile(path=f"jemhopqa/{path}", url=f"{_URL}/{path}", sha256=sha256)


_TRAIN = _file(
    "corpus/train.json", "c64392b4087299bcfaa02fe2584128b5dc50fe5ea83e1bd600cadfc984669e65"
)
_DEV = _file("corpus/dev.json", "2f3b8a518ca3051fc002f343ba3c26f6f3be902464061b43c30c5a1d37a9269a")


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    def pairs(file: raw.RawFile) -> list[base.Pair]:
        rows = json.loads(open_raw(file.path).read_text(encoding="utf-8"))
        return [base.Pair(f"質問：{row['question']}", row["answer"]) for row in rows]

    train, dev = splits.train_and_dev(pairs(_TRAIN))
    return {"train": train, "dev": dev, "test": pairs(_DEV)}


JEMHOPQA = base.Corpus(
    name="jemhopqa",
    source=f"github aiishii/JEMHopQA @ {_COMMIT}, corpus/",
    licence="CC BY-SA 4.0",
    files=(_TRAIN, _DEV),
    instruction=(
        "質問を入力とし、回答を出力してください。回答の他には何も含めないことを厳守してください。"
        "回答が'はい'と'いいえ'で答えることができる場合、'YES'と'NO'で答えてください。"
    ),
    output_length=15,
    metrics=("char_f1",),
    sha256={
        "train": "d6981685a42de3d29f356679d0c18de67c8a48c4038f3ab1ca0419d0b00e7bfe",
        "dev": "7364e2e5381f1355f53109c73f8f506616b6690d686e96bba681585976f13399",
        "test": "4b26f5c8be542ad3c9f492aa892e71f80d5a3e5a582d277b744b34308daa0ea5",
    },
    readers=(_read,),
)


class Jemhopqa(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(JEMHOPQA)
