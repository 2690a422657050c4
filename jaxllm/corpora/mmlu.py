"""MMLU (Hendrycks et al. 2021): examinations in 57 subjects, four choices, in English.

llm-jp-eval takes the origin's dev as train and its val as dev, and mixes the subjects: one question
of each in turn for as long as every subject has one, then what is left, subject by subject. 1.3
calls it mmluen and misspells the first word of every input; 1.4 calls it mmlu_en.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from etils import epath

from jaxllm.corpora import base, raw, splits
from jaxllm.errors import MissingData

_FOLDER = raw.RawFolder(
    path="mmlu/data", url="https://people.eecs.berkeley.edu/~hendrycks/data.tar", inside="data"
)
_ORIGINAL_SPLITS = {"train": "dev", "dev": "val", "test": "test"}
_NOT_COMPARED = "the digest of dev was not compared, for want of the raw files"


def _reader(question: str, split: str) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        folder = open_raw(_FOLDER.path) / _ORIGINAL_SPLITS[split]
        files = sorted(folder.glob("*.csv"), key=lambda file: file.name)
        if not files:
            raise MissingData(f"{folder} holds no CSV files; it comes with {_FOLDER.url}")
        return {split: _in_turn([splits.shuffled(_pairs(file, question)) for file in files])}

    return read


def _in_turn(subjects: Sequence[Sequence[base.Pair]]) -> list[base.Pair]:
    shortest = min(map(len, subjects))
    turns = [pairs[turn] for turn in range(shortest) for pairs in subjects]
    return turns + [pair for pairs in subjects for pair in pairs[shortest:]]


def _pairs(file: epath.Path, question: str) -> list[base.Pair]:
    with raw.reading(file):
        return list(_rows(file.read_bytes().decode("utf-8"), question))


def _rows(text: str, question: str) -> Iterator[base.Pair]:
    for asked, a, b, c, d, answer in csv.reader(io.StringIO(text, newline="")):
        yield base.Pair(f"{question}: {asked}\nChoices: A.{a}, B.{b}, C.{c}, D.{d}", answer)


MMLUEN = base.Corpus(
    name="mmluen",
    source=f"{_FOLDER.url}, as llm-jp-eval 1.3 asks it",
    licence="MIT",
    files=(_FOLDER,),
    instruction=(
        "Please input a question along with multiple-choice answers, and select an answer from the"
        " choices provided. Note that the answer should be indicated by the letter of the choice"
        " (e.g., A) in str format. Return the letter that represents the answer in str format and"
        " ensure that nothing else is included."
    ),
    output_length=1,
    metrics=("exact_match",),
    sha256={"dev": "57436596f139a2857a5e6d183b0abbea42910c72a9911c69504c39a0f16c985a"},
    unverified=_NOT_COMPARED,
    readers=tuple(_reader("Qusetion", split) for split in _ORIGINAL_SPLITS),
)
MMLU_EN = base.Corpus(
    name="mmlu_en",
    source=f"{_FOLDER.url}, as llm-jp-eval 1.4 asks it",
    licence="MIT",
    files=(_FOLDER,),
    instruction=(
        "Select an answer from the choices provided. Note that the answer should be made by"
        " selecting a single letter that corresponds to the option (e.g., A, B, C, or D) without"
        " adding any extra characters."
    ),
    output_length=3,
    metrics=("exact_match",),
    sha256={"dev": "4e37b02fe76048bf1e2acd802560dc10c312b821e7641de765770bb94e50c078"},
    unverified=(
        "the instruction and the output length are those of a version near 1.4.1, the form of an"
        f" input is that of 1.3.1 with the misspelling mended; {_NOT_COMPARED}"
    ),
    readers=tuple(_reader("Question", split) for split in _ORIGINAL_SPLITS),
)


class Mmlu(base.CorpusBuilder):
    """The same questions as two versions of llm-jp-eval ask them."""

    BUILDER_CONFIGS = base.configs(MMLUEN, MMLU_EN)
