"""JBLiMP (Someya and Oseki 2023): 331 minimal pairs, of which one sentence is grammatical.

llm-jp-eval prepares them since 1.2 and averages them nowhere; it published no digest and its splits
follow from its general rules. Which of the two sentences stands first is drawn with seed 42.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "bacc0fe9688e8fde23eb7b5e9619083880df8bbc"
_PATH = "data/validated/validated_minimal_pairs.jsonl"
_FILE = raw.RawFile(
    path=f"jblimp/{_PATH}",
    url=f"https://raw.githubusercontent.com/osekilab/JBLiMP/{_COMMIT}/{_PATH}",
)


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    lines = open_raw(_FILE.path).read_text(encoding="utf-8").split("\n")
    generator = random.Random(42)
    pairs = []
    for row in (json.loads(line) for line in lines if line):
        answer = generator.choice("ab")
        a, b = row["good_sentence"], row["bad_sentence"]
        if answer == "b":
            a, b = b, a
        pairs.append(base.Pair(f"a：{a}\nb：{b}", answer))
    train, dev, test = splits.shots_dev_and_test(pairs)
    return {"train": train, "dev": dev, "test": test}


JBLIMP = base.Corpus(
    name="jblimp",
    source=f"github osekilab/JBLiMP @ {_COMMIT}, data/validated/",
    licence="not stated by the origin",
    files=(_FILE,),
    instruction=(
        "これから提示する a と b の2つの日本語の文章のうち、一つは文法的に正しく、"
        "もう一つは文法的な誤りを含んでいます。どちらが文法的に正しい文章かを判断し、"
        "正しい文章に対応したアルファベットを出力してください。"
        "必ずaまたはbのどちらか1文字を出力し、それ以外には何も含めないことを厳守してください。"
    ),
    output_length=1,
    metrics=("exact_match",),
    unverified=(
        "neither the form of an input, nor how the place of the right sentence is drawn, nor the"
        " digest of any split is published, and the raw file was not at hand"
    ),
    readers=(_read,),
)


class Jblimp(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(JBLIMP)
