"""What is asked and how it is scored: tasks, their samples, suites and their averages."""

from jaxllm.tasks.aggregate import Aggregate, aggregate
from jaxllm.tasks.baseline import Baseline, majority_baseline
from jaxllm.tasks.registry import get_suite, get_task, suite_names, task_names
from jaxllm.tasks.samples import data_sha256, load_samples
from jaxllm.tasks.task import Sample, Suite, Task

__all__ = [
    "Aggregate",
    "Baseline",
    "Sample",
    "Suite",
    "Task",
    "aggregate",
    "data_sha256",
    "get_suite",
    "get_task",
    "load_samples",
    "majority_baseline",
    "suite_names",
    "task_names",
]
