"""The sets that models are evaluated on: the data of tasks, each once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from jaxllm.errors import UserError
from jaxllm.tasks import (
    Sample,
    Task,
    data_sha256,
    get_suite,
    get_task,
    load_samples,
    suite_names,
)
from jaxllm.tasks.registry import JSONL_PREFIX


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """One split of a corpus, or a file: its samples, and the names of the tasks that ask it."""

    name: str
    data_sha256: str
    tasks: tuple[str, ...]
    samples: tuple[Sample, ...]


def load_sets(
    names: Sequence[str], *, split: str, data_dir: str | os.PathLike[str]
) -> tuple[list[EvaluationSet], dict[str, str]]:
    """The sets behind suites, tasks and `jsonl:PATH`; behind all suites where nothing is named.

    Returns:
      The sets, and why others are not among them: their corpus has no such split, or is not here.

    Raises:
      UserError: an unknown name, a file that cannot be read (told with its line), or no set at all.
    """
    tasks: dict[str, list[Task]] = {}
    for name in names or suite_names():
        for task in [get_task(name)] if ":" in name else get_suite(name).tasks:
            tasks.setdefault(task.corpus, []).append(task)
    sets, missing = [], {}
    for corpus, asking in tasks.items():
        task = asking[0]
        try:
            samples = load_samples(task, split=split, data_dir=data_dir, num_shots=0)
            if not samples:
                raise UserError(f"{corpus} holds no sample")
            digest = data_sha256(task, split=split, data_dir=data_dir)
        except UserError as error:
            if corpus.startswith(JSONL_PREFIX):
                raise
            missing[corpus] = str(error)
        else:
            sets.append(
                EvaluationSet(
                    name=corpus,
                    data_sha256=digest,
                    tasks=tuple(dict.fromkeys(task.name for task in asking)),
                    samples=tuple(samples),
                )
            )
    if not sets:
        reasons = "".join(f"\n  {reason}" for reason in missing.values())
        raise UserError(f"there is no evaluation set to compare with (split {split!r}){reasons}")
    return sets, missing
