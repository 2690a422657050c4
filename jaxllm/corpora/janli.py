"""JaNLI (Yanaka and Mineshima 2021): inference that word overlap does not decide.

One file; its last column says which rows are test, and llm-jp-eval splits the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "2bbb63622570f7b20abc118146141b501efe5183"
_FILE = raw.RawFile(
    path="janli/janli.tsv",
    url=f"https://raw.githubusercontent.com/verypluming/JaNLI/{_COMMIT}/janli.tsv",
    sha256="19e324626dd2229c372cce6c84de0658b290eae5bfa28f9476d4066705151a4f",
)


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    lines = open_raw(_FILE.path).read_text(encoding="utf-8").split("\n")
    parts: dict[bool, list[base.Pair]] = {False: [], True: []}
    for row in (line.split("\t") for line in lines[1:] if line):
        parts[row[-1] == "test"].append(base.Pair(f"前提：{row[1]}\n仮説：{row[2]}", row[3]))
    train, dev = splits.train_and_dev(parts[False])
    return {"train": train, "dev": dev, "test": parts[True]}


JANLI = base.Corpus(
    name="janli",
    source=f"github verypluming/JaNLI @ {_COMMIT}, janli.tsv",
    licence="CC BY-SA 4.0",
    files=(_FILE,),
    instruction=(
        "前提と仮説の関係をentailment、non-entailmentの中から回答してください。"
        "それ以外には何も含めないことを厳守してください。\n\n制約：\n"
        "- 前提に対して仮説が同じ意味を含む場合は、entailmentと出力\n"
        "- 前提に対して仮説が異なる意味を含む場合は、non-entailmentと出力"
    ),
    output_length=7,
    metrics=("exact_match",),
    sha256={
        "train": "0f0cca26058683be88a7f1e3e4b3d5f8019fbc729b6aaa808ae71fb07b1e9ea9",
        "dev": "9d6694bebbe78c5c02b4fd5da8af930c03cb65d7766042cfe5cad9031a9ce6ef",
        "test": "4e3ecfcb32d49d0a2e16d9dd8ee63b4d110b32b0e7d6e3a1b6ef7342ae2be4cc",
    },
    readers=(_read,),
)


class Janli(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(JANLI)
