"""llm-jp-eval 1.3.1: four shots from the head of train, no BOS, cut at the first blank line.

So far it asks jcommonsenseqa, mawps and jemhopqa; the other categories are reported as missing.
Instructions and the sizes of the answers are those of the corpora.
"""

from __future__ import annotations

from jaxllm import corpora
from jaxllm.tasks.task import Suite, Task

_NAME = "llm-jp-eval/v1.3.1"
_MEMBERS = (("jcommonsenseqa", "MC"), ("mawps", "MR"), ("jemhopqa", "QA"))


def _task(name: str, category: str) -> Task:
    corpus = corpora.get(name)
    return Task(
        name=f"{_NAME}:{name}",
        corpus=name,
        category=category,
        metrics=corpus.metrics,
        max_new_tokens=corpus.output_length,
        num_shots=4,
        template="llm_jp_v1.3",
        extraction="v1.3",
        bos="never",
    )


SUITE = Suite(
    name=_NAME,
    tasks=tuple(_task(name, category) for name, category in _MEMBERS),
    categories=("EL", "FA", "HE", "MC", "MR", "MT", "NLI", "QA", "RC"),
    average_name="AVR",
)
