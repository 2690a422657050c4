"""Jamp (Sugimoto et al. 2023): inference about time, made from templates.

llm-jp-eval splits all of the training rows and tests on the second of the origin's test files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "f578b5daac7bff3855d238c032a60fd047cddd9c"
_URL = f"https://raw.githubusercontent.com/tomo-vv/temporalNLI_dataset/{_COMMIT}/dataset"


def _file(name: str, sha256: str) -> raw.RawFile:
    return raw.RawFile(path=f"jamp/{name}", url=f"{_URL}/{name}", sha256=sha256)


_TRAIN = _file("train_all.tsv", "711f496ffd7806b83e13502af6b91774f8e05f1fb13215bd33c6824607e3b07b")
_TEST = _file("test_2.tsv", "10001a07e00b8a21f370838f6cd3869c7edfb1fd2b7b69cfcefebea68009bf07")


def _pairs(open_raw: base.OpenRaw, file: raw.RawFile) -> list[base.Pair]:
    lines = open_raw(file.path).read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines[1:] if line]
    return [base.Pair(f"前提：{row[1]}\n仮説：{row[2]}", row[3]) for row in rows]


def _read_train(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    train, dev = splits.train_and_dev(_pairs(open_raw, _TRAIN))
    return {"train": train, "dev": dev}


def _read_test(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return {"test": _pairs(open_raw, _TEST)}


JAMP = base.Corpus(
    name="jamp",
    source=f"github tomo-vv/temporalNLI_dataset @ {_COMMIT}, dataset/",
    licence="CC BY-SA 4.0",
    files=(_TRAIN, _TEST),
    instruction=(
        "前提と仮説の関係をentailment、contradiction、neutralの中から回答してください。"
        "それ以外には何も含めないことを厳守してください。\n\n制約：\n"
        "- 前提から仮説が、時間関係上導出可能である場合はentailmentと出力\n"
        "- 前提と仮説が両立しえない場合はcontradictionと出力\n"
        "- そのいずれでもない場合はneutralと出力"
    ),
    output_length=3,
    metrics=("exact_match",),
    sha256={
        "train": "76be8f782c7619b80fc60e073a596200f408d854d830062f48ef085413165f54",
        "dev": "bee9d6124ccc20b02e2dc42b75c0548f9caf0a8c88af164ee726eebdb28c17cc",
        "test": "f36f97a7660c23c03d4a87549993c9930df6b701525bb9b5851500b6683ffd37",
    },
    readers=(_read_train, _read_test),
)


class Jamp(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(JAMP)
