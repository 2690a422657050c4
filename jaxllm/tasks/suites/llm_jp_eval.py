"""What the pinned versions of llm-jp-eval have in common: a data set of theirs as a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaxllm import corpora
from jaxllm.tasks.task import Task


class Member(NamedTuple):
    """A data set of a suite: no category for one that enters no mean, the headline metric first."""

    corpus: str
    category: str | None
    metrics: tuple[str, ...]


EXACT_MATCH = ("exact_match",)
CHAR_F1 = ("char_f1",)
SET_F1 = ("set_f1",)
# llm-jp-eval's BLEU, which compares characters, stands beside a real one.
TO_JAPANESE = ("comet_wmt22", "bert_score_ja_f1", "bleu_compat_ja", "bleu_ja")
TO_ENGLISH = ("comet_wmt22", "bert_score_en_f1", "bleu_compat_en", "bleu_en")


def suite_tasks(
    suite: str, members: Iterable[Member], changes: Mapping[str, Mapping[str, Any]], **shared: Any
) -> tuple[Task, ...]:
    """The tasks of a suite; instruction and length of the answer are those its corpora pin.

    `changes` holds fields in which a task differs, by corpus, `shared` those of all; what is
    unverified of a corpus is so of its task. A task whose corpus this program does not read is
    there all the same, without a length.
    """
    known = set(corpora.names())
    tasks = []
    for name, category, metrics in members:
        fields: dict[str, Any] = {"num_shots": 4, "bos": "never", "max_new_tokens": 0}
        own = {**shared, **changes.get(name, {})}
        if name in known:
            corpus = corpora.get(name)
            fields["max_new_tokens"] = corpus.output_length
            doubts = (corpus.unverified, own.get("unverified"))
            own["unverified"] = "; ".join(filter(None, doubts))
        fields |= {"metrics": metrics, **own}
        tasks.append(Task(name=f"{suite}:{name}", corpus=name, category=category, **fields))
    return tuple(tasks)
