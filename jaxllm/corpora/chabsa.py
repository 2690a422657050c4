"""chABSA (Kubo et al. 2018): what sentences of annual reports praise or blame.

llm-jp-eval reads the reports in the order of their names, drops sentences without an opinion and
makes the splits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from jaxllm.corpora import base, raw, splits
from jaxllm.errors import MissingData

_FOLDER = raw.RawFolder(
    path="chabsa/chABSA-dataset",
    inside="chABSA-dataset",
    suffix=".zip",
    by_hand=(
        "nothing serves chABSA-dataset.zip at its old address any more; get it from"
        " https://www.kaggle.com/datasets/takahirokubo0/chabsa"
    ),
)


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    folder = open_raw(_FOLDER.path)
    reports = sorted(folder.glob("*_ann.json"), key=lambda report: report.name)
    if not reports:
        raise MissingData(f"{folder} holds no *_ann.json files; {_FOLDER.by_hand}")
    pairs: list[base.Pair] = []
    for report in reports:
        with raw.reading(report):
            pairs += _pairs(json.loads(report.read_text(encoding="utf-8")))
    train, dev, test = splits.train_dev_and_test(pairs)
    return {"train": train, "dev": dev, "test": test}


def _pairs(report: Mapping) -> Iterator[base.Pair]:
    for sentence in report["sentences"]:
        opinions = [
            f"{opinion['target']} {opinion['polarity']}" for opinion in sentence["opinions"]
        ]
        if opinions:
            yield base.Pair(f"文章：{sentence['sentence']}", "\n".join(opinions))


CHABSA = base.Corpus(
    name="chabsa",
    source="chakki-works chABSA-dataset.zip",
    licence="CC BY 4.0",
    files=(_FOLDER,),
    instruction=(
        "与えられた文章から固有表現で書かれたターゲットの名前を抽出し、それに対する極性を"
        "positive、neutral、negativeの中から選択して下さい。固有表現で書かれたターゲットの"
        "名前と、それに対する極性（positive、neutral、negativeのいずれか）のペアをスペース（ ）"
        "で区切って出力し、それ以外には何も含めないことを厳守してください。"
        "答えが複数の場合、改行で繋げてください。ただし、ターゲットは固有表現である市場、市況、"
        "会社/法人、グループ、会社内の部門、事業部、事業領域、製品、サービスの名称などを"
        "指すこととします。"
    ),
    output_length=191,
    metrics=("set_f1",),
    sha256={"dev": "a04db94fd91894ed48593d2824b70fed9a241fd7e81aea854a8d32af1389a592"},
    unverified="the digest of dev was not compared, for want of the raw files",
    readers=(_read,),
)


class Chabsa(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(CHABSA)
