"""ichikara-instruction (Sekine et al. 2024): instructions and answers written in Japanese.

The distribution is sent to those who ask for it. Each of its files is a list of `ID`, `text` and
`output`; LLM-jp tunes on 003-001 and 003-003. All is train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw
from jaxllm.corpora.json_records import read_records, text_of

_PAGE = "https://liat-aip.sakura.ne.jp/wp/llmのための日本語インストラクションデータ作成/"
_BY_HAND = f"ask for ichikara-instruction at {_PAGE} and unpack what you are sent"


def _corpus(number: str) -> base.Corpus:
    name = f"ichikara_{number.replace('-', '_')}"
    file = raw.RawFile(path=f"ichikara/ichikara-instruction-{number}-1.json", by_hand=_BY_HAND)

    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        path = open_raw(file.path)
        return {
            "train": [
                base.Pair("", text_of(record, "output", path), text_of(record, "text", path))
                for record in read_records(path)
            ]
        }

    return base.Corpus(
        name=name,
        source=f"ichikara-instruction-{number}-1.json of the distribution of 2024-12-21",
        licence="CC BY-NC-SA 4.0",
        files=(file,),
        splits=("train",),
        noncommercial=True,
        unverified="read as its users describe it; not tried on the file itself",
        readers=(read,),
    )


class Ichikara(base.CorpusBuilder):
    """The parts that LLM-jp tunes on."""

    BUILDER_CONFIGS = base.configs(_corpus("003-001"), _corpus("003-003"))
