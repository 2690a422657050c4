"""JCoLA (Someya et al. 2023): is a sentence from the linguistics literature acceptable?

llm-jp-eval prepares both parts since 1.2 and averages neither; it published no digest of them and
its splits follow from its general rules. In domain, the train file is split and the valid file is
test; out of domain there is one file of fewer than a thousand rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "736d9eef3af04bb17e4cf59adf01325973234ff9"
_OUT_OF_DOMAIN_COMMIT = "a0f37f03bd72281b765af756e0fcfb0c8786ae98"


def _file(name: str, commit: str, sha256: str) -> raw.RawFile:
    path = f"jcola-v1.0/{name}"
    return raw.RawFile(
        path=f"jcola/{path}",
        url=f"https://raw.githubusercontent.com/osekilab/JCoLA/{commit}/data/{path}",
        sha256=sha256,
    )


_TRAIN = _file(
    "in_domain_train-v1.0.json",
    _COMMIT,
    "c665f8a8b371b34c3c8947cde3670637cf0403ac7529ba8bb62370d07f008396",
)
_VALID = _file(
    "in_domain_valid-v1.0.json",
    _COMMIT,
    "677fb021886b6829d6a84e8ca9f62808f6bd479fa829439f49eac4f94f23658c",
)
_OUT_OF_DOMAIN = _file("out_of_domain_valid-v1.0.json", _OUT_OF_DOMAIN_COMMIT, "")
_INSTRUCTION = (
    "これから提示する日本語の文章が文法的な誤りを含んでいるかを判断してください。"
    "文法的に正しい文章の場合1、誤りを含んでいる場合は0を出力してください。"
    "必ず1か0のどちらか1文字を出力し、それ以外には何も含めないことを厳守してください。"
)


def _pairs(open_raw: base.OpenRaw, file: raw.RawFile) -> list[base.Pair]:
    lines = open_raw(file.path).read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    return [base.Pair(f"文章：{row['sentence']}", str(row["label"])) for row in rows]


def _read_train(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    train, dev = splits.train_and_dev(_pairs(open_raw, _TRAIN))
    return {"train": train, "dev": dev}


def _read_valid(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return {"test": _pairs(open_raw, _VALID)}


def _read_out_of_domain(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    train, dev, test = splits.shots_dev_and_test(_pairs(open_raw, _OUT_OF_DOMAIN))
    return {"train": train, "dev": dev, "test": test}


IN_DOMAIN = base.Corpus(
    name="jcola-in-domain",
    source=f"github osekilab/JCoLA @ {_COMMIT}, data/jcola-v1.0/",
    licence="CC BY-SA 4.0",
    files=(_TRAIN, _VALID),
    instruction=_INSTRUCTION,
    output_length=1,
    metrics=("exact_match",),
    unverified="neither the form of an input nor the digest of any split is published",
    readers=(_read_train, _read_valid),
)

OUT_OF_DOMAIN = base.Corpus(
    name="jcola-out-of-domain",
    source=f"github osekilab/JCoLA @ {_OUT_OF_DOMAIN_COMMIT}, data/jcola-v1.0/",
    licence="CC BY-SA 4.0",
    files=(_OUT_OF_DOMAIN,),
    instruction=_INSTRUCTION,
    output_length=1,
    metrics=("exact_match",),
    unverified=(
        "neither the form of an input nor the digest of any split is published, and the raw file"
        " was not at hand"
    ),
    readers=(_read_out_of_domain,),
)


class Jcola(base.CorpusBuilder):
    """The two corpora of this origin."""

    BUILDER_CONFIGS = base.configs(IN_DOMAIN, OUT_OF_DOMAIN)
