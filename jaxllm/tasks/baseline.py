"""The floor of a task: what giving the commonest training answer to every question scores."""

from __future__ import annotations

import collections
import dataclasses
import os

from jaxllm.tasks.samples import load_samples
from jaxllm.tasks.task import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline:
    """The constant answer, and the same once per question."""

    answer: str
    predictions: tuple[str, ...]


def majority_baseline(
    task: Task,
    data_dir: str | os.PathLike,
    *,
    split: str = "test",
    max_samples: int | None = None,
) -> Baseline:
    """Answers every question of the split with the most frequent answer of train.

    Of equally frequent answers the one seen first is taken. A model that does not read its input
    cannot do much better, so a score at this level shows no skill.
    """
    train = load_samples(task, split="train", data_dir=data_dir, num_shots=0)
    asked = load_samples(task, split=split, data_dir=data_dir, max_samples=max_samples, num_shots=0)
    ((answer, _),) = collections.Counter(sample.gold for sample in train).most_common(1)
    return Baseline(answer=answer, predictions=(answer,) * len(asked))
