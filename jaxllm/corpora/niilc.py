"""NIILC-QA (Sekine 2003): encyclopaedic questions with every answer that is right.

llm-jp-eval splits the origin's dev file, tests on its test file, and joins the answers with commas.
A question whose answer is a dash has none and is dropped. The digest of train is derived
here; that of dev is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from jaxllm.corpora import base, raw, splits

_COMMIT = "b6d47968b2e301a5e953fb1922a08ed56099646b"
_URL = f"https://raw.githubusercontent.com/mynlp/niilc-qa/{_COMMIT}"


def _file(path: str, sha256: str) -> raw.RawFile:
    return raw.RawFile(path=f"niilc/{path}", url=f"{_URL}/{path}", sha256=sha256)


_DEV = _file(
    "data/NIILC-ECQA2015_dev.xml",
    "983dcaeb9ef38ca45d1114e8b420fdd4b358e827c235b1bfb4fc5e50ca70caf3",
)
_TEST = _file("data/NIILC-ECQA2015_test.xml", "")


def _pairs(open_raw: base.OpenRaw, file: raw.RawFile) -> Iterator[base.Pair]:
    for question in ElementTree.fromstring(open_raw(file.path).read_bytes()).iter("question"):
        texts = [(answer.text or "").strip() for answer in question.iter("answer")]
        answers = ",".join(text for text in texts if text)
        if answers != "-":
            yield base.Pair(f"質問：{question.findtext('text', '').strip()}", answers)


def _read_dev(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    train, dev = splits.train_and_dev(list(_pairs(open_raw, _DEV)))
    return {"train": train, "dev": dev}


def _read_test(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return {"test": list(_pairs(open_raw, _TEST))}


NIILC = base.Corpus(
    name="niilc",
    source=f"github mynlp/niilc-qa @ {_COMMIT}, data/",
    licence="CC BY-SA 4.0",
    files=(_DEV, _TEST),
    instruction=(
        "質問に対する答えを出力してください。回答の他には何も含めないことを厳守してください。"
        "答えが複数の場合、コンマ（,）で繋げてください。"
    ),
    output_length=180,
    metrics=("char_f1",),
    sha256={
        "train": "585d861fbb71d2aef229c9a06e19cde43c487f5adc1a4d3396a11e508bb2bb50",
        "dev": "ff0cf49012ad6416b0828cbcf16882cafc68c30483e4ef51863641d23fe1befc",
    },
    readers=(_read_dev, _read_test),
)


class Niilc(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(NIILC)
