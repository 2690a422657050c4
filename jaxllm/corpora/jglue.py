"""JGLUE (Kurihara et al. 2022): JCommonsenseQA, five choices about common sense.

The v1.3 release is pinned; its JCommonsenseQA files are byte for byte those of v1.1, which
llm-jp-eval reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "6f071c09316baae89c3d083a90985b4b1cb9968c"
_URL = f"https://raw.githubusercontent.com/yahoojapan/JGLUE/{_COMMIT}/datasets"


def _file(path: str, sha256: str) -> raw.RawFile:
    return raw.RawFile(path=f"jglue/{path}", url=f"{_URL}/{path}", sha256=sha256)


_JCOMMONSENSEQA_TRAIN = _file(
    "jcommonsenseqa-v1.3/train-v1.3.json",
    "9b55fae5ecb3aedd6f8ce5bc09196c3b629864668ec6c18eee4d65c0aa48229e",
)
_JCOMMONSENSEQA_VALID = _file(
    "jcommonsenseqa-v1.3/valid-v1.3.json",
    "0d8d76f3bfa0d174866939882faccdd01fbc2bcd5a76c43748ba0c40a7b3b8d4",
)


def _read_jcommonsenseqa(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    def pairs(file: raw.RawFile) -> list[base.Pair]:
        rows = map(json.loads, open_raw(file.path).read_text(encoding="utf-8").splitlines())
        return [_jcommonsenseqa_pair(row) for row in rows]

    train, dev = splits.train_and_dev(pairs(_JCOMMONSENSEQA_TRAIN))
    return {"train": train, "dev": dev, "test": pairs(_JCOMMONSENSEQA_VALID)}


def _jcommonsenseqa_pair(row: Mapping) -> base.Pair:
    choices = ",".join(f"{number}.{row[f'choice{number}']}" for number in range(5))
    return base.Pair(f"質問：{row['question']}\n選択肢：{choices}", str(row["label"]))


JCOMMONSENSEQA = base.Corpus(
    name="jcommonsenseqa",
    source=f"github yahoojapan/JGLUE @ {_COMMIT}, JCommonsenseQA v1.3 (= v1.1)",
    licence="CC BY-SA 4.0",
    files=(_JCOMMONSENSEQA_TRAIN, _JCOMMONSENSEQA_VALID),
    instruction=(
        "質問と回答の選択肢を入力として受け取り、選択肢から回答を選択してください。なお、"
        "回答は選択肢の番号（例：0）でするものとします。 回答となる数値をint型で返し、"
        "他には何も含めないことを厳守してください。"
    ),
    output_length=1,
    metrics=("exact_match",),
    sha256={
        "train": "797423fb2273c6f518b8ed0c01ba5a1bcbb181bc2e6ff3278603a67854629a58",
        "dev": "ac30df014eee8d24d62a5e1fbd4ed1e3b5d76bffb836ffb4c9fa59e72a056591",
        "test": "d288ac864afa6d45eb5ba982efd00c5c96cfb632a79f56c4079db3c84536cb86",
    },
    readers=(_read_jcommonsenseqa,),
)


class Jglue(base.CorpusBuilder):
    """The corpora of JGLUE."""

    BUILDER_CONFIGS = base.configs(JCOMMONSENSEQA)
