"""Dolly (Conover et al. 2023): 15,000 instructions that people wrote, some with a text to read.

In English as published, in the DeepL translation that LLM-jp tunes on, in the translation of
kunishou, and the two categories of a Japanese translation that LLM-jp keeps with its contamination
test. All is train. Rows without an answer are left out: there is nothing to learn from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw
from jaxllm.corpora.json_records import read_records, text_of

_HUB = "https://huggingface.co/datasets"
_LICENCE = "CC BY-SA 3.0"
# instruction, context, answer
_FIELDS = ("instruction", "context", "response")
_KUNISHOU_FIELDS = ("instruction", "input", "output")

_ENGLISH_COMMIT = "d72c16e4644a463b9c678c71d9440befd4594556"
_ENGLISH = raw.RawFile(
    path="dolly_15k_en/databricks-dolly-15k.jsonl",
    url=f"{_HUB}/databricks/databricks-dolly-15k/resolve/{_ENGLISH_COMMIT}/databricks-dolly-15k.jsonl",
    sha256="2df9083338b4abd6bceb5635764dab5d833b393b55759dffb0959b6fcbf794ec",
)
_JAPANESE_COMMIT = "f8ae87df31fac05429d974264eeb35c453bde737"
_JAPANESE = raw.RawFile(
    path="dolly_15k_ja/databricks-dolly-15k-ja.jsonl",
    url=f"{_HUB}/llm-jp/databricks-dolly-15k-ja/resolve/{_JAPANESE_COMMIT}/databricks-dolly-15k-ja.jsonl",
)
_KUNISHOU_COMMIT = "f2b1a9fa32dc019a7c960367b2896e31c9f83f8e"
_KUNISHOU = raw.RawFile(
    path="dolly_15k_ja_kunishou/databricks-dolly-15k-ja.json",
    url=f"{_HUB}/kunishou/databricks-dolly-15k-ja/resolve/{_KUNISHOU_COMMIT}/databricks-dolly-15k-ja.json",
    sha256="f4f814b77074a864ed15859b354470b10b8d970647165dc4e2ed08a6ff139417",
)
_PART_COMMIT = "ac031c5100a87c59455a9c418230a84a1d73717a"
_PART_URL = (
    f"https://raw.githubusercontent.com/llm-jp/llm-jp-data-contamination/{_PART_COMMIT}"
    "/llm-jp-test/dolly-oasst-test/dolly-15k-ja"
)


def _part(category: str, sha256: str) -> raw.RawFile:
    path = f"{category}/train.json"
    return raw.RawFile(path=f"dolly_15k_ja_part/{path}", url=f"{_PART_URL}/{path}", sha256=sha256)


_CLASSIFICATION = _part(
    "classification", "4f0a53552572ac480a4e242a7e07143a1a1014d2e4d5401755c0163e30db45d3"
)
_OTHER = _part("other", "853d7ce55980a3244dd633e831b3f7580d0a062bb4ec85d9eeb10f855254e04f")


def _corpus(
    name: str,
    source: str,
    *files: raw.RawFile,
    fields: tuple[str, str, str] = _FIELDS,
    sha256: Mapping[str, str] | None = None,
    unverified: str = "",
) -> base.Corpus:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        return {"train": [pair for file in files for pair in _pairs(open_raw, file, fields)]}

    return base.Corpus(
        name=name,
        source=source,
        licence=_LICENCE,
        files=files,
        splits=("train",),
        sha256=sha256 or {},
        unverified=unverified,
        readers=(read,),
    )


def _pairs(
    open_raw: base.OpenRaw, file: raw.RawFile, fields: tuple[str, str, str]
) -> list[base.Pair]:
    path = open_raw(file.path)
    rows = [[text_of(record, field, path) for field in fields] for record in read_records(path)]
    return [
        base.Pair(context, answer, instruction)
        for instruction, context, answer in rows
        if answer.strip()
    ]


CORPORA = (
    _corpus(
        "dolly_en",
        f"hf databricks/databricks-dolly-15k @ {_ENGLISH_COMMIT}",
        _ENGLISH,
        unverified="read as its page describes it; not tried on the file itself",
    ),
    _corpus(
        "dolly_ja",
        f"hf llm-jp/databricks-dolly-15k-ja @ {_JAPANESE_COMMIT} (DeepL)",
        _JAPANESE,
        unverified="the file's sha256 is not known, and its form is taken from a part of the data",
    ),
    _corpus(
        "dolly_ja_kunishou",
        f"hf kunishou/databricks-dolly-15k-ja @ {_KUNISHOU_COMMIT}",
        _KUNISHOU,
        fields=_KUNISHOU_FIELDS,
        unverified="read as its users describe it; not tried on the file itself",
    ),
    _corpus(
        "dolly_ja_part",
        f"github llm-jp/llm-jp-data-contamination @ {_PART_COMMIT}, dolly-15k-ja",
        _CLASSIFICATION,
        _OTHER,
        sha256={"train": "17e5bf25090eaa78b3640a10644e7cb43e5531ad6c196d0c928bd3b70fc1ab7f"},
    ),
)


class Dolly(base.CorpusBuilder):
    """Dolly in English and Japanese."""

    BUILDER_CONFIGS = base.configs(*CORPORA)
