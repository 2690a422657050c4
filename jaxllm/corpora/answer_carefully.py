"""AnswerCarefully 2.0 (Suzuki et al. 2025): questions that want a careful answer, and such answers.

Gated on the Hugging Face hub. Its validation part, which LLM-jp tunes on, is train here; test is
test. The files are the JSON lists of `ID`, `text` and `output` that llm-jp-judge saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxllm.corpora import base, raw
from jaxllm.corpora.json_records import read_records, text_of

_PAGE = "https://huggingface.co/datasets/llm-jp/AnswerCarefully"


def _file(part: str) -> raw.RawFile:
    return raw.RawFile(
        path=f"answer_carefully/v2.0/{part}.json",
        by_hand=(
            f"accept the terms of {_PAGE}, and save the rows of its {part} part (v2.0) as a JSON"
            " list, as scripts/download_ac_v2.0.sh of llm-jp-judge does"
        ),
    )


def _reader(split: str, file: raw.RawFile) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        path = open_raw(file.path)
        return {
            split: [
                base.Pair("", text_of(record, "output", path), text_of(record, "text", path))
                for record in read_records(path)
            ]
        }

    return read


_VALIDATION, _TEST = _file("validation"), _file("test")
ANSWER_CAREFULLY = base.Corpus(
    name="answer_carefully",
    source="hf llm-jp/AnswerCarefully, v2.0",
    licence="terms of AnswerCarefully: only to make models safer",
    files=(_VALIDATION, _TEST),
    splits=("train", "test"),
    unverified="read as its users describe it; not tried on the files themselves",
    readers=(_reader("train", _VALIDATION), _reader("test", _TEST)),
)


class AnswerCarefully(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(ANSWER_CAREFULLY)
