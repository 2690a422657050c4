"""Answers and judgments of whichever tool: FastChat's files, llm-jp-judge's folders, or ours."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from etils import epath

from jaxllm.errors import UserError
from jaxllm.judging import fastchat_files, llm_jp_judge_answers, llm_jp_judge_tables
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark
from jaxllm.judging.judgments import Judgment

# In a result folder of ours.
ANSWERS, JUDGMENTS = "answers.jsonl", "judgments.jsonl"


def folder_name(label: str) -> str:
    """A model's or a judge's name as that of a folder."""
    return re.sub(r"[^\w.-]+", "--", label).strip(".-") or "answers"


def read_answers(
    paths: Sequence[str | os.PathLike[str]], benchmark: Benchmark
) -> dict[str, tuple[epath.Path, list[Answer]]]:
    """Each model's answers and the file they stand in, by the model's name.

    A path may be `NAME=PATH`, where NAME is what the model in it is to be called.

    Raises:
        UserError: there are none, a file is another one, or two models have one name.
    """
    found: dict[str, tuple[epath.Path, list[Answer]]] = {}
    for path in paths:
        name, equals, rest = os.fspath(path).partition("=")
        named = bool(equals) and not epath.Path(path).exists()
        read = _read_answers(epath.Path(rest if named else path), benchmark)
        if named and len(read) > 1:
            raise UserError(f"{rest} holds answers of {', '.join(read)}: {name} can name one")
        for model, answers in read.items():
            label = name if named else model
            if label in found:
                raise UserError(
                    f"{path} and {found[label][0]} hold answers of {label}: call one of them by "
                    "another name, as in --answers=tuned=PATH"
                )
            found[label] = answers
    return found


def _read_answers(
    place: epath.Path, benchmark: Benchmark
) -> dict[str, tuple[epath.Path, list[Answer]]]:
    if llm_jp_judge_answers.is_generation_folder(place):
        file, model, answers = llm_jp_judge_answers.read_answers(place, benchmark.name)
        return {model: (file, answers)}
    files = [place]
    if place.is_dir():
        own = place / ANSWERS
        files = [own] if own.is_file() else sorted(place.glob("*.jsonl"))
    if not files:
        raise UserError(f"{place} holds no answers: give a .jsonl file or a folder of them")
    found = {}
    for file in files:
        model, answers = fastchat_files.read_answers(file)
        found[model] = file, answers
    return found


def read_judgments(
    path: str | os.PathLike[str], benchmark: Benchmark
) -> Mapping[tuple[str, str], list[Judgment]]:
    """The judgments of each model by each judge.

    Raises:
        UserError: there are none, or a file is another one.
    """
    place = epath.Path(path)
    own = place / JUDGMENTS if place.is_dir() else place
    if place.is_dir() and not own.is_file():
        return llm_jp_judge_tables.read_tables(place, benchmark)
    return fastchat_files.read_judgments(own, benchmark)
