"""XL-Sum in Japanese (Hasan et al. 2021): news articles of the BBC and their summaries.

The origin gives the splits. llm-jp-eval has had it since 1.4, without shots, and drops articles
that are too long for a prompt of 2,000 characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw

_FOLDER = raw.RawFolder(
    path="xlsum_ja/japanese_XLSum_v2.0",
    suffix=".tar.bz2",
    by_hand=(
        "download data/japanese_XLSum_v2.0.tar.bz2 from"
        " https://huggingface.co/datasets/csebuetnlp/xlsum"
    ),
)
_ORIGINAL_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_MAX_CHARACTERS = 2000


def _reader(split: str) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        path = open_raw(_FOLDER.path) / f"japanese_{_ORIGINAL_SPLITS[split]}.jsonl"
        with raw.reading(path):
            if not path.exists():
                raise LookupError(f"there is no file {path.name}")
            lines = path.read_text(encoding="utf-8").split("\n")
            rows = [json.loads(line) for line in lines if line]
            pairs = [base.Pair(row["text"], row["summary"]) for row in rows]
        return {split: [pair for pair in pairs if len(pair.input) <= _MAX_CHARACTERS]}

    return read


XLSUM_JA = base.Corpus(
    name="xlsum_ja",
    source="Hugging Face csebuetnlp/xlsum, japanese_XLSum_v2.0",
    licence="CC BY-NC-SA 4.0",
    files=(_FOLDER,),
    instruction="与えられたニュース記事を要約してください。",
    output_length=200,
    metrics=("rouge2_scaling", "rouge1", "rougeL"),
    sha256={"dev": "44f2e6805f3f269fa577ca57bab81a12ff154c4220ee74861b53581ea8e5c1a5"},
    unverified=(
        "the instruction, the output length, the exact limit of an article's length and the form of"
        " an input are not published; the digest of dev was not compared, for want of the raw files"
    ),
    noncommercial=True,
    readers=tuple(map(_reader, _ORIGINAL_SPLITS)),
)


class Xlsum(base.CorpusBuilder):
    """The Japanese part of this origin."""

    BUILDER_CONFIGS = base.configs(XLSUM_JA)
