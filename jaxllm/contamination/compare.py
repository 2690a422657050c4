"""What the processes do that compare: records in, what they share with the samples out.

Nothing that reads corpora or tasks is imported here: each process would hold it in memory.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from jaxllm.contamination.index import Comparison, EvaluationIndex
from jaxllm.contamination.texts import example_texts
from jaxllm.input.records import Record, parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare:
    """Compares records with the index in a folder, which a process opens once.

    Raises UserError at a record that is no example, told with its place.
    """

    folder: str

    def __call__(self, records: Sequence[Record]) -> Comparison:
        """What the records share with the samples of the index."""
        return _index(self.folder).compare([example_texts(parse(record)) for record in records])


@functools.lru_cache(maxsize=1)
def _index(folder: str) -> EvaluationIndex:
    return EvaluationIndex.load(folder)
