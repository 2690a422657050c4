"""Answers and judgments of whichever tool: FastChat's files, llm-jp-judge's folders, or ours."""

from __future__ import annotations

import os
from collections.abc import Mapping

from etils import epath

from jaxllm.errors import UserError
from jaxllm.judging import fastchat_files, llm_jp_judge_answers, llm_jp_judge_tables
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark
from jaxllm.judging.judgments import Judgment

# In a result folder of ours.
ANSWERS, JUDGMENTS = "answers.jsonl", "judgments.jsonl"


def read_answers(
    path: str | os.PathLike[str], benchmark: Benchmark
) -> dict[str, tuple[epath.Path, list[Answer]]]:
    """Each model's answers and the file they stand in, by the model's name.

    Raises:
        UserError: there are none, or a file is another one.
    """
    place = epath.Path(path)
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
