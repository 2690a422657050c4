"""JSICK (Yanaka and Mineshima 2022): the Japanese side of SICK's sentence pairs, as inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "b3034994192fae2f41b5937bcf69544e4282fc39"
_URL = f"https://raw.githubusercontent.com/verypluming/JSICK/{_COMMIT}"


def _file(path: str, sha256: str) -> raw.RawFile:
    return raw.RawFile(path=f"jsick/{path}", url=f"{_URL}/{path}", sha256=sha256)


_TRAIN = _file(
    "jsick/train.tsv", "5aee77c7cb5e598c35cadc99f54eb53f980cf554219f497871fbdcc5a25b71be"
)
_TEST = _file("jsick/test.tsv", "")  # the digest of what is read from it is known


def _pairs(open_raw: base.OpenRaw, file: raw.RawFile) -> list[base.Pair]:
    lines = open_raw(file.path).read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines[1:] if line]
    return [base.Pair(f"前提：{row[8]}\n仮説：{row[9]}", row[10]) for row in rows]


def _read_train(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    train, dev = splits.train_and_dev(_pairs(open_raw, _TRAIN))
    return {"train": train, "dev": dev}


def _read_test(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return {"test": _pairs(open_raw, _TEST)}


JSICK = base.Corpus(
    name="jsick",
    source=f"github verypluming/JSICK @ {_COMMIT}, jsick/",
    licence="CC BY-SA 4.0",
    files=(_TRAIN, _TEST),
    instruction=(
        "前提と仮説の関係をentailment、contradiction、neutralの中から回答してください。"
        "それ以外には何も含めないことを厳守してください。\n\n制約：\n"
        "- 前提が真であるとき仮説が必ず真になる場合はentailmentと出力\n"
        "- 前提が真であるとき仮説が必ず偽になる場合はcontradictionと出力\n"
        "- そのいずれでもない場合はneutralと出力"
    ),
    output_length=3,
    metrics=("exact_match",),
    sha256={
        "train": "ff5fb7ec580b40cb8bfacff5c965ed027c2de27fb10246ce9ed8c0610ba73128",
        "dev": "bd4291ab4b325654ec8e1b9f2f4d69f6508b7d071d4da41b7cafc9eeb297f33e",
        "test": "df85cc093a72e0c4f0937c97aeb352600e0c00fa8c4920cc0107bee2cd43e4c6",
    },
    readers=(_read_train, _read_test),
)


class Jsick(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(JSICK)
