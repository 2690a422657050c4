"""What an entry with `type="generate"` may say, and the tasks that it names."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxllm.errors import UserError
from jaxllm.tasks import Suite, Task, get_suite, get_task

# Fields that replace what a task pins, where they are not empty.
_REPLACING = (
    "template",
    "bos",
    "extraction",
    "instruction",
    "category",
    "metrics",
    "stop",
    "labels",
    "max_new_tokens",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """Fields of an entry with `type="generate"`.

    `suite` runs all tasks of a suite but those whose data is not here, which are named; `task` one
    (`mini/v1:nli`, `jsonl:PATH`), `tasks` several.
    `num_shots`, `shot_seed`, `template`, `bos`, `extraction`, `instruction`, `metrics`, `stop`,
    `labels`, `category` and `max_new_tokens` replace what the task pins (the result file says so);
    `template="chat"` asks in the model's own chat format.
    `num_runs` asks every question so many times at a `temperature`, each run with a seed of its own
    that follows from `seed`; a sample's score is the mean over its runs.
    `blank_inputs` is the control run: every input is blanked, so only what leaks through the
    instruction can be scored. `kind` labels the run for reports (base, tuned, control, ...).
    """

    suite: str = ""
    task: str = ""
    tasks: tuple[str, ...] = ()
    split: str = "test"
    max_samples: int = 100
    num_shots: int = -1
    shot_seed: int = -1
    template: str = ""
    bos: str = ""
    extraction: str = ""
    instruction: str = ""
    category: str = ""
    metrics: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    max_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    num_runs: int = 1
    blank_inputs: bool = False
    kind: str = ""

    def __post_init__(self) -> None:
        if self.num_runs < 1:
            raise UserError(f"num_runs={self.num_runs}: an evaluator asks at least once")
        if self.num_runs > 1 and self.temperature == 0:
            raise UserError(
                f"num_runs={self.num_runs} greedy runs would all answer the same: set a "
                "temperature, or num_runs=1"
            )
        if self.suite and self.category:
            raise UserError(
                f"category={self.category!r} is for a task; the suite {self.suite} has its own"
            )


def resolve_tasks(settings: GenerateSettings) -> tuple[Suite | None, list[Task]]:
    """The tasks that the settings name, with what they replace, and their suite if it is one.

    Raises:
        UserError: none or more than one of suite, task and tasks, or an unknown one.
    """
    if bool(settings.suite) + bool(settings.task) + bool(settings.tasks) != 1:
        raise UserError("an evaluator of type 'generate' needs one of suite, task and tasks")
    changes: dict[str, Any] = {
        name: getattr(settings, name) for name in _REPLACING if getattr(settings, name)
    }
    for name in ("num_shots", "shot_seed"):
        if getattr(settings, name) >= 0:
            changes[name] = getattr(settings, name)
    if settings.suite:
        suite = get_suite(settings.suite)
        return suite, [dataclasses.replace(task, **changes) for task in suite.tasks]
    names = settings.tasks or (settings.task,)
    return None, [get_task(name, **changes) for name in names]
