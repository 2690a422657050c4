"""The embedded suite: nine small Japanese tasks, one per llm-jp-eval category, without shots.

It is for a model of about a million parameters that was tuned on the train splits of the same
corpora: it shows in minutes that tuning, decoding and scoring work, and says nothing about
a language model's Japanese.
"""

from __future__ import annotations

from jaxllm import corpora
from jaxllm.tasks.task import Suite, Task

_NAME = "mini/v1"
_CATEGORIES = ("EL", "FA", "HE", "MC", "MR", "MT", "NLI", "QA", "RC")


def _task(category: str) -> Task:
    corpus = corpora.get(f"mini/{category.lower()}")
    return Task(
        name=f"{_NAME}:{category.lower()}",
        corpus=corpus.name,
        category=category,
        metrics=corpus.metrics,
        max_new_tokens=corpus.output_length,
        template="llm_jp_v1.3",
        extraction="v1.3",
        bos="never",
    )


SUITE = Suite(
    name=_NAME,
    tasks=tuple(_task(category) for category in _CATEGORIES),
    categories=_CATEGORIES,
    average_name="AVR",
)
