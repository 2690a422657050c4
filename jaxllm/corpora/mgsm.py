"""MGSM in Japanese (Shi et al. 2022): 250 word problems translated from GSM8K, and eight shots.

The shots stand in the origin's code, with their answers in a list beside them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.corpora import base, raw

_COMMIT = "452a21ad3dae5668c06ceeac21ff073e1e40f9be"
_URL = f"https://raw.githubusercontent.com/google-research/url-nlp/{_COMMIT}/mgsm"
_EXEMPLARS = raw.RawFile(path="mgsm_ja/exemplars.py", url=f"{_URL}/exemplars.py")
_PROBLEMS = raw.RawFile(
    path="mgsm_ja/mgsm_ja.tsv",
    url=f"{_URL}/mgsm_ja.tsv",
    sha256="59a2b50debe77981fd784cb3b2bef1505e3abf2a37116dc9d7a366ab029b4637",
)


def _read_train(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    path = open_raw(_EXEMPLARS.path)
    with raw.reading(path):
        constants = _constants(path.read_text(encoding="utf-8"))
        exemplars = constants["MGSM_EXEMPLARS"]["ja"].values()
        answers = constants["EXEMPLAR_NUMBER_ANSWERS"]
        questions = [exemplar["q"].removeprefix("問題：") for exemplar in exemplars]
        return {"train": [_pair(*row) for row in zip(questions, answers, strict=True)]}


def _constants(code: str) -> dict[str, Any]:
    """The literals that a Python file gives names to; nothing of it is run."""
    return {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(code).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def _read_test(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    path = open_raw(_PROBLEMS.path)
    with raw.reading(path):
        lines = path.read_text(encoding="utf-8").split("\n")
        return {"test": [_pair(*line.split("\t")) for line in lines if line]}


def _pair(question: str, answer: str | int) -> base.Pair:
    return base.Pair(f"質問：{question}", str(int(str(answer).replace(",", ""))))


MGSM = base.Corpus(
    name="mgsm",
    source=f"github google-research/url-nlp @ {_COMMIT}, mgsm/",
    licence="CC BY 4.0",
    files=(_EXEMPLARS, _PROBLEMS),
    splits=("train", "test"),
    instruction=(
        "質問を入力とし、数字のみの回答を出力してください。"
        "回答の他には何も含めないことを厳守してください。"
    ),
    output_length=10,
    metrics=("exact_match",),
    unverified="the form of an input and the order of the rows are not published, nor a digest",
    readers=(_read_train, _read_test),
)


class Mgsm(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(MGSM)
