"""What tuning data is compared with, made once from the evaluation sets and shared by processes."""

from __future__ import annotations

import dataclasses
import mmap
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxllm.contamination.limits import CHARACTER_N, WORD_N
from jaxllm.contamination.near_duplicates import form_trigrams, signature
from jaxllm.contamination.ngram_index import NgramIndex, Overlaps
from jaxllm.contamination.ngrams import Texts, characters
from jaxllm.contamination.texts import words


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What a batch of examples shares with the samples.

    `signatures`, uint32 [texts, 128], are those of the texts that are long enough for one, `places`
    the example and the text of each, int64 [texts, 2].
    """

    words: Overlaps
    characters: Overlaps
    places: np.ndarray
    signatures: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationIndex:
    """The n-grams of all samples; `form` are the trigrams that are no sample's own."""

    words: NgramIndex
    characters: NgramIndex
    word_ids: Mapping[str, int]  # from 1: 0 stands for any word that no sample has
    form: np.ndarray

    @staticmethod
    def of(sets: Sequence[Sequence[Sequence[str]]]) -> EvaluationIndex:
        """The index of sets of samples, each sample its normalised texts."""
        samples = [texts for samples in sets for texts in samples]
        texts = [text for sample in samples for text in sample]
        sizes = [len(sample) for sample in samples]
        belongs = {
            "samples_T": np.repeat(np.arange(len(samples)), sizes),
            "sets_S": np.repeat(np.arange(len(sets)), [len(samples) for samples in sets]),
        }
        word_ids: dict[str, int] = {}
        numbered = [
            np.array([word_ids.setdefault(word, len(word_ids) + 1) for word in words(text)])
            for text in texts
        ]
        return EvaluationIndex(
            words=NgramIndex.of(Texts.of(numbered), WORD_N, **belongs),
            characters=NgramIndex.of(
                Texts.of(list(map(characters, texts))), CHARACTER_N, **belongs
            ),
            word_ids=word_ids,
            form=np.unique(np.concatenate([form_trigrams(samples) for samples in sets])),
        )

    def compare(self, examples: Sequence[Sequence[str]]) -> Comparison:
        """What examples, each some normalised texts, share with the samples."""
        texts = [text for example in examples for text in example]
        examples_T = np.repeat(np.arange(len(examples)), [len(example) for example in examples])
        numbered = [
            np.array([self.word_ids.get(word, 0) for word in words(text)]) for text in texts
        ]
        signed = {
            (number, place): values
            for number, example in enumerate(examples)
            for place, text in enumerate(example)
            if (values := signature(text, self.form)) is not None
        }
        return Comparison(
            words=self.words.overlaps(Texts.of(numbered), examples_T),
            characters=self.characters.overlaps(Texts.of(list(map(characters, texts))), examples_T),
            places=np.array(list(signed), dtype=np.int64).reshape(-1, 2),
            signatures=np.array(list(signed.values()), dtype=np.uint32),
        )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the index so that several processes can hold its arrays in memory once."""
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(self, protocol=5, buffer_callback=buffers.append)
        Path(folder, "index").write_bytes(head)
        for number, buffer in enumerate(buffers):
            Path(folder, f"array{number}").write_bytes(buffer.raw())

    @staticmethod
    def load(folder: str | os.PathLike[str]) -> EvaluationIndex:
        """The index that stands in a folder, its arrays read from there as they are needed."""
        num_arrays = len(list(Path(folder).glob("array*")))
        arrays = [_mapped(Path(folder, f"array{number}")) for number in range(num_arrays)]
        return pickle.loads(Path(folder, "index").read_bytes(), buffers=arrays)


def _mapped(path: Path) -> mmap.mmap | bytes:
    if not path.stat().st_size:
        return b""  # nothing cannot be mapped
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
