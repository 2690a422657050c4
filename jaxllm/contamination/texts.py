"""What is compared: the texts of samples and of training examples, in one form.

Of a sample only what is its own counts: the input, and a gold answer as long as a character n-gram.
Instructions, shots and the template's words are the same for every sample of a task, and stand in
every tuning set made for it: they say nothing of what a model has seen. A short gold answer (a
label, a digit) says nothing either. Of a training example every message counts, each for itself,
the rejected answers of preferences among them.

Where a set writes the words of its task into every input, they are told from the samples' own by
how many samples hold them (`is_form`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from jaxllm.contamination.limits import CHARACTER_N
from jaxllm.metrics.mecab import ja_mecab
from jaxllm.text.example import Example

if TYPE_CHECKING:  # the processes that compare do without what tasks bring
    from jaxllm.tasks import Sample

_FORM_SHARE = 0.5
_FORM_LEAST = 10
_NEEDLESS_BLANK = re.compile("(?<![0-9A-Za-z]) | (?![0-9A-Za-z])")
_NO_WORD = re.compile(r"[\W_]+")


def sample_texts(sample: Sample) -> list[str]:
    """The texts of a sample that are its own, in the form in which texts are compared."""
    own = normalised(sample.input)
    gold = normalised(sample.gold)
    return [own, gold] if len(gold) >= CHARACTER_N else [own]


def example_texts(example: Example) -> list[str]:
    """Everything that a training example says, each text once, in the same form."""
    messages = (*example.messages, *example.rejected)
    texts = [text for message in messages for text in (message.content, message.context)]
    return list(filter(None, map(normalised, dict.fromkeys(texts))))


def normalised(text: str) -> str:
    """The text in Unicode's form NFKC, its blanks only where they part Latin words, one each.

    Width, line breaks and the blank behind a comma are matters of a file.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    return _NEEDLESS_BLANK.sub("", text)


def words(text: str) -> list[str]:
    """The words of a normalised text in small letters, Japanese as MeCab cuts it, without signs."""
    return ja_mecab()(_NO_WORD.sub(" ", text.lower())).split()


def is_form(num_holding: np.ndarray, num_samples: np.ndarray | int) -> np.ndarray:
    """Whether what so many of a set's samples hold is the form of the task: more than half.

    Nothing is that fewer than ten samples hold. A passage that many questions share stays theirs.
    """
    return num_holding > np.maximum(np.multiply(num_samples, _FORM_SHARE), _FORM_LEAST - 1)
