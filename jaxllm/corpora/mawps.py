"""MAWPS in Japanese (NLP-Waseda's chain-of-thought data): word problems with a number to answer.

llm-jp-eval takes the worked examples as train, keeping only the number of each, and shuffles the
test file into a dev half and a test half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "2ad9fcbc597e70424f0b40ee2749570ba3f581bf"
_URL = (
    "https://raw.githubusercontent.com/nlp-waseda/chain-of-thought-ja-dataset/"
    f"{_COMMIT}/dataset/mawps"
)


def _file(name: str, sha256: str) -> raw.RawFile:
    return raw.RawFile(path=f"mawps_ja/mawps/{name}", url=f"{_URL}/{name}", sha256=sha256)


_ZERO_SHOT = _file(
    "zero_shot_example.json", "3f2c5d2f6263133b1bfda2b0b9ae1baf98746da2c1402ba20f52ebc6b2b3d186"
)
_SHOT = _file(
    "shot_example.json", "737554c857d3433b1340abd3a2ae2aaf80ff0921d8ad68d765d34501b94c437b"
)
_TEST = _file("test.json", "0fde5adf64075da1157a866e991555e8aef2fb816ee5ce053302744741970fd7")


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    def rows(file: raw.RawFile) -> list[Mapping]:
        return json.loads(open_raw(file.path).read_text(encoding="utf-8"))

    worked = [
        _worked_pair(row["shot_example"]) for file in (_ZERO_SHOT, _SHOT) for row in rows(file)
    ]
    asked = splits.shuffled(
        [base.Pair(row["question"].partition("\n解答：")[0], row["answer"]) for row in rows(_TEST)]
    )
    half = len(asked) // 2
    return {"train": worked, "dev": asked[:half], "test": asked[half:]}


def _worked_pair(text: str) -> base.Pair:
    question, _, solution = text.partition("\n解答：")
    return base.Pair(question, solution.rpartition("答えは")[2].partition("です。")[0])


MAWPS = base.Corpus(
    name="mawps",
    source=f"github nlp-waseda/chain-of-thought-ja-dataset @ {_COMMIT}, dataset/mawps",
    licence="Apache-2.0",
    files=(_ZERO_SHOT, _SHOT, _TEST),
    instruction=(
        "与えられた計算問題に対する答えを整数または小数で出力してください。"
        "数値のみを出力し、それ以外には何も含めないことを厳守してください。"
    ),
    output_length=10,
    metrics=("exact_match",),
    sha256={
        "train": "05d1743d315c5437a8257e6fb2bbd709e19a2119f6f891c7c73507631f27b53e",
        "dev": "b9c26eb7e2daa3ed53b5f174651bec44ed74f45799e81bb12f448046d4e04052",
        "test": "d6fc078bb24b84015a742ac0a44eaae99fd011e81e77bf059cb73cd790588ac9",
    },
    readers=(_read,),
)


class Mawps(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(MAWPS)
