"""What comparisons come to: of every sample how much stands in each source, and the worst pairs.

Legend: S samples of all sets, U different n-grams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jaxllm.contamination.evaluation_sets import EvaluationSet
from jaxllm.contamination.index import Comparison, EvaluationIndex
from jaxllm.contamination.near_duplicates import NearDuplicates, own_trigrams, similarity
from jaxllm.contamination.ngram_index import Overlaps
from jaxllm.contamination.passages import side_by_side
from jaxllm.contamination.result import Overlap, Pair, SampleOverlap, SetOverlap
from jaxllm.contamination.texts import example_texts, sample_texts
from jaxllm.input.records import Record, parse


class Tally:
    """Adds up comparisons of examples with some sets."""

    def __init__(
        self, sets: Sequence[EvaluationSet], index: EvaluationIndex, *, num_pairs: int
    ) -> None:
        self._sets = sets
        self._index = index
        self._num_pairs = num_pairs
        self._set_S = np.repeat(np.arange(len(sets)), [len(found.samples) for found in sets])
        self._texts = [sample_texts(sample) for found in sets for sample in found.samples]
        self._sample_of_text = np.repeat(np.arange(len(self._texts)), list(map(len, self._texts)))
        flat = [text for texts in self._texts for text in texts]
        self._near = NearDuplicates(flat, self._index.form)
        self._sources: dict[str, _Source] = {}
        self._worst: list[dict[int, tuple[float, int, str, Record]]] = [{} for _ in sets]

    def add(self, name: str, records: Sequence[Record], comparison: Comparison) -> None:
        """Adds what was found of some records of the source of that name."""
        source = self._sources.setdefault(name, _Source(self._index))
        source.num_examples += len(records)
        for kind, index in (("words", self._index.words), ("characters", self._index.characters)):
            overlaps: Overlaps = getattr(comparison, kind)
            source.held[kind][overlaps.ngrams] = True
            shares = overlaps.counts / index.totals_S[overlaps.samples]
            for pair in np.flatnonzero(shares > source.most_S[overlaps.samples]):
                record, sample = records[overlaps.examples[pair]], int(overlaps.samples[pair])
                self._offer(name, sample, float(shares[pair]), record)
        for (number, place), signature in zip(
            comparison.places, comparison.signatures, strict=True
        ):
            candidates = self._near.candidates(signature)
            if not candidates:
                continue
            text = example_texts(parse(records[number]))[place]
            for nearest, alike in self._near.similar(text, candidates):
                sample = int(self._sample_of_text[nearest])
                source.similarity_S[sample] = max(source.similarity_S[sample], alike)
                self._offer(name, sample, alike, records[number])

    def _offer(self, name: str, sample: int, share: float, record: Record) -> None:
        """Keeps the record if it is the one of its source that shares most with the sample."""
        source = self._sources[name]
        if share <= source.most_S[sample]:
            return
        source.most_S[sample] = share
        source.examples[sample] = record.id
        worst = self._worst[self._set_S[sample]]
        # Of two samples that are covered equally the longer one says more.
        pair = share, sum(map(len, self._texts[sample])), name, record
        if sample not in worst or share > worst[sample][0]:
            worst[sample] = pair
        if len(worst) > self._num_pairs:
            del worst[min(worst, key=lambda kept: worst[kept][:2])]

    def result(self, *, split: str, missing: Mapping[str, str]) -> Overlap:
        """All that was found; `split` and `missing` are what the sets were loaded with."""
        owners = [(found.name, sample.id) for found in self._sets for sample in found.samples]
        return Overlap(
            split=split,
            sources={name: source.num_examples for name, source in self._sources.items()},
            sets=tuple(
                SetOverlap(
                    name=found.name,
                    data_sha256=found.data_sha256,
                    tasks=found.tasks,
                    num_samples=len(found.samples),
                    worst=tuple(
                        self._pair(owners[sample][1], sample, source, record)
                        for sample, (*_, source, record) in sorted(
                            worst.items(), key=lambda kept: kept[1][:2], reverse=True
                        )
                    ),
                )
                for found, worst in zip(self._sets, self._worst, strict=True)
            ),
            samples=tuple(
                overlap
                for name, source in self._sources.items()
                for overlap in source.overlaps(name, self._index, owners)
            ),
            missing=missing,
        )

    def _pair(self, id: str, sample: int, source: str, record: Record) -> Pair:
        evaluated, trained = self._texts[sample], example_texts(parse(record))
        comparison = self._index.compare([trained])
        passages = side_by_side(evaluated, trained)
        return Pair(
            id=id,
            source=source,
            example=record.id,
            words=_share(comparison.words, sample, self._index.words.totals_S),
            characters=_share(comparison.characters, sample, self._index.characters.totals_S),
            similarity=max(
                similarity(
                    own_trigrams(one, self._index.form), own_trigrams(other, self._index.form)
                )
                for one in evaluated
                for other in trained
            ),
            evaluated=passages[0],
            trained=passages[1],
        )


class _Source:
    """One source: which n-grams its examples hold, and how near they come to each sample."""

    def __init__(self, index: EvaluationIndex) -> None:
        num_samples = len(index.words.totals_S)
        self.num_examples = 0
        self.held = {
            "words": np.zeros(len(index.words.table.hashes_U), dtype=bool),
            "characters": np.zeros(len(index.characters.table.hashes_U), dtype=bool),
        }
        self.similarity_S = np.zeros(num_samples)
        self.most_S = np.zeros(num_samples)
        self.examples: dict[int, str] = {}

    def overlaps(
        self, name: str, index: EvaluationIndex, owners: Sequence[tuple[str, str]]
    ) -> list[SampleOverlap]:
        words_S = index.words.covered(self.held["words"])
        characters_S = index.characters.covered(self.held["characters"])
        return [
            SampleOverlap(
                set=owners[sample][0],
                id=owners[sample][1],
                source=name,
                words=float(words_S[sample]),
                characters=float(characters_S[sample]),
                similarity=float(self.similarity_S[sample]),
                example=self.examples[sample],
            )
            for sample in sorted(self.examples)
        ]


def _share(overlaps: Overlaps, sample: int, totals_S: np.ndarray) -> float:
    counts = overlaps.counts[overlaps.samples == sample]
    return float(counts.sum() / max(totals_S[sample], 1))
