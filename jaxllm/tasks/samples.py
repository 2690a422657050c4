"""From a task to its questions: rows of the corpus as messages, shots in front."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
from collections.abc import Sequence
from typing import Any

from etils import epath

from jaxllm import corpora
from jaxllm.errors import MissingData, UserError
from jaxllm.tasks.registry import JSONL_PREFIX
from jaxllm.tasks.task import Sample, Task
from jaxllm.text.answer_formats import AnswerFormat, get_answer_format
from jaxllm.text.example import Example, Message, example_from_record
from jaxllm.text.extraction import get_extraction


def load_samples(
    task: Task,
    *,
    split: str,
    data_dir: str | os.PathLike,
    max_samples: int | None = None,
    num_shots: int | None = None,
) -> list[Sample]:
    """The first `max_samples` questions of a split (None or -1: all), in the corpus's order.

    Shots are the first `num_shots` rows of train (None: as the task says), shuffled before if the
    task has a `shot_seed`, the same for every question; no row is asked with itself as a shot in
    front. Where the task's extraction has an answer format, the prompt tells of it and shots show
    it. Raises MissingData when the corpus is not prepared or this program does not read it,
    UserError when it lacks the split, train has fewer rows than shots, or the extraction is
    unknown.
    """
    get_extraction(task.extraction)
    num_shots = task.num_shots if num_shots is None else num_shots
    if task.corpus.startswith(JSONL_PREFIX):
        asked = train = _examples_of_file(task)
    else:
        asked = train = _examples_of_corpus(task, split, data_dir)
        if num_shots and split != "train":
            train = _examples_of_corpus(task, "train", data_dir)
    if len(train) < num_shots:
        raise UserError(
            f"{task.name} has {len(train)} rows to take shots from: set num_shots to at most that,"
            f" not {num_shots}"
        )
    if task.shot_seed is not None:
        train = random.Random(task.shot_seed).sample(train, len(train))
    shots = train[:num_shots]
    asked = [example for example in asked if all(example is not shot for shot in shots)]
    if max_samples is not None and max_samples >= 0:
        asked = asked[:max_samples]
    answer_format = get_answer_format(task.extraction)
    return [_sample(example, shots, answer_format) for example in asked]


def data_sha256(task: Task, *, split: str, data_dir: str | os.PathLike) -> str:
    """What identifies the data a task asks: the split's digest, or that of the user's file."""
    if task.corpus.startswith(JSONL_PREFIX):
        return hashlib.sha256(_path(task).read_bytes()).hexdigest()
    _check_corpus(task)
    digests = corpora.info(task.corpus, data_dir)["sha256"]
    if split not in digests:
        raise UserError(f"{task.corpus} has no split {split!r}; it has {', '.join(digests)}")
    return digests[split]


def _sample(example: Example, shots: list[Example], answer_format: AnswerFormat) -> Sample:
    *question, answer = example.messages
    shown = [message for shot in shots for message in _in_format(shot.messages, answer_format)]
    prompt = _instruction_once([*shown, *question])
    first = next(index for index, message in enumerate(prompt) if message.role == "user")
    prompt[first] = dataclasses.replace(prompt[first], answer_format=answer_format.told)
    return Sample(example.id, tuple(prompt), answer.content, _input(question[-1]))


def _in_format(messages: Sequence[Message], answer_format: AnswerFormat) -> list[Message]:
    return [
        dataclasses.replace(message, content=answer_format.shown.format(message.content))
        if message.role == "assistant"
        else message
        for message in messages
    ]


def _instruction_once(messages: list[Message]) -> list[Message]:
    """Later user turns that repeat the first instruction keep only their input."""
    users = [message for message in messages if message.role == "user"]
    first = users[0]
    return [
        Message(role="user", content="", context=message.context)
        if message.role == "user"
        and message is not first
        and message.context
        and message.content == first.content
        else message
        for message in messages
    ]


def _input(message: Message) -> str:
    return message.context or message.content


def _examples_of_corpus(task: Task, split: str, data_dir: str | os.PathLike) -> list[Example]:
    _check_corpus(task)
    return [
        _example(task, row, row["id"])
        for row in corpora.load(task.corpus, split, data_dir=data_dir)
    ]


def _examples_of_file(task: Task) -> list[Example]:
    path = _path(task)
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            examples.append(_example(task, record, str(record.get("id", number))))
        except (ValueError, AttributeError, UserError) as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    return examples


def _example(task: Task, record: dict[str, Any], id: str) -> Example:
    if task.instruction is not None and "output" in record:
        record = {**record, "instruction": task.instruction}
    example = example_from_record(record, id=id)
    if len(example.messages) < 2 or example.messages[-1].role != "assistant":
        raise UserError(f"record {id} asks nothing: give it a question and an answer")
    return example


def _check_corpus(task: Task) -> None:
    if task.corpus not in corpora.names():
        raise MissingData(f"this program does not read the data set {task.corpus}")


def _path(task: Task) -> epath.Path:
    path = epath.Path(task.corpus.removeprefix(JSONL_PREFIX))
    if not path.exists():
        raise UserError(f"{task.name}: there is no file {path}")
    return path
