"""Tuning sources stream past the evaluation sets, in batches, over processes."""

from __future__ import annotations

import collections
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from jaxllm.contamination.compare import Compare
from jaxllm.contamination.evaluation_sets import EvaluationSet
from jaxllm.contamination.index import Comparison, EvaluationIndex
from jaxllm.contamination.result import Overlap
from jaxllm.contamination.tally import Tally
from jaxllm.contamination.texts import sample_texts
from jaxllm.errors import UserError
from jaxllm.input.records import Record
from jaxllm.input.sources import Source
from jaxllm.input.workers import Workers, num_cpus

_BATCH_BYTES = 500_000
_ALONE_SECONDS = 1.0  # a source that is read by then needs no other process
_MAX_PROCESSES = 16


def find_overlap(
    sources: Sequence[Source],
    sets: Sequence[EvaluationSet],
    *,
    split: str = "test",
    missing: Mapping[str, str] | None = None,
    num_pairs: int = 3,
    progress: Callable[[int], None] = lambda count: None,
) -> Overlap:
    """How much of evaluation sets stands in tuning sources.

    Args:
      sources: what `read_source` gives; each must have a name of its own.
      sets, split, missing: what `load_sets` gave and was given.
      num_pairs: how many of the worst pairs of each set are kept.
      progress: called with the number of examples that were compared since the last call.

    Raises:
      UserError: a source that is named twice, holds nothing, or is damaged (told with its line).
    """
    names = [source.spec for source in sources]
    if len(set(names)) != len(names):
        raise UserError(f"a source is named twice: {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="jaxllm-overlap-") as folder:
        texts = [[sample_texts(sample) for sample in found.samples] for found in sets]
        EvaluationIndex.of(texts).save(folder)
        # This process holds the same pages of it as the others.
        tally = Tally(sets, EvaluationIndex.load(folder), num_pairs=num_pairs)
        for source in sources:
            for batch, comparison in _compared(source, folder):
                tally.add(source.spec, batch, comparison)
                progress(len(batch))
        return tally.result(split=split, missing=missing or {})


def _compared(source: Source, folder: str) -> Iterator[tuple[list[Record], Comparison]]:
    """Yields a source in batches with what each shares: made here at first, then by processes."""
    compare = Compare(folder=folder)
    batches = _batches(source.records())
    began = time.monotonic()
    for batch in batches:
        yield batch, compare(batch)
        if time.monotonic() - began > _ALONE_SECONDS:
            break
    first = next(batches, None)
    if first is None:
        return
    sent: collections.deque[list[Record]] = collections.deque()

    def remembered() -> Iterator[list[Record]]:
        for batch in itertools.chain([first], batches):
            sent.append(batch)
            yield batch

    with Workers(compare, min(num_cpus(), _MAX_PROCESSES)) as workers:
        for comparison in workers.map(remembered()):
            yield sent.popleft(), comparison


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch, size = [], 0
    for record in records:
        batch.append(record)
        content = record.content
        size += len(content if isinstance(content, bytes) else str(content))
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
