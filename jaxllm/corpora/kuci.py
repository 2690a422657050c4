"""KUCI (Omura et al. 2020): which of four sentences follows from a basic event?

llm-jp-eval has had it since 1.4 and takes the origin's three files as they are. It published the
digest of its dev file and not the form of an input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw

_COMMIT = "79afa1d63d1f262e6709e9be714d9ad5dae8d6f6"
_URL = f"https://raw.githubusercontent.com/ku-nlp/KUCI/{_COMMIT}/dataset"
_FILES = {
    split: raw.RawFile(path=f"kuci/dataset/{split}.jsonl", url=f"{_URL}/{split}.jsonl")
    for split in ("train", "dev", "test")
}
_LETTERS = "abcd"


def _reader(split: str) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        lines = open_raw(_FILES[split].path).read_text(encoding="utf-8").split("\n")
        return {split: [_pair(json.loads(line)) for line in lines if line]}

    return read


def _pair(row: Mapping) -> base.Pair:
    choices = ",".join(
        f"{number}.{row[f'choice_{letter}']}" for number, letter in enumerate(_LETTERS)
    )
    return base.Pair(
        f"文脈：{row['context']}\n選択肢：{choices}", str(_LETTERS.index(row["label"]))
    )


KUCI = base.Corpus(
    name="kuci",
    source=f"github ku-nlp/KUCI @ {_COMMIT}, dataset/",
    licence="CC BY-SA 4.0",
    files=tuple(_FILES.values()),
    instruction=(
        "文脈と選択肢を入力として受け取り、選択肢から文脈の後に続く文として最も適切なものを"
        "選択してください。なお、回答は選択肢の番号（例：0）でするものとします。"
        " 回答となる数値をint型で返し、他には何も含めないことを厳守してください。"
    ),
    output_length=1,
    metrics=("exact_match",),
    sha256={"dev": "c56d18cefbc3fb38ab55e4a1c623e60432a0f142c6e49259d9cf7989ea845dfa"},
    unverified=(
        "whether the spaces between morphemes stay in an input is not published, and the digest of"
        " dev was not compared, for want of the raw files"
    ),
    readers=tuple(map(_reader, _FILES)),
)


class Kuci(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(KUCI)
