"""The part of a source that is kept out of training, to measure the loss on."""

from __future__ import annotations

import hashlib
import itertools
import json

from jaxllm.text.example import Example


def is_held_out(example: Example, share: float) -> bool:
    """Whether an example is among the share that is held out.

    The question alone decides (what comes before the first answer, or the text where there is no
    question): the split is the same for every seed and order, stays when examples are added, and
    never has a question on both sides.
    """
    if share <= 0:
        return False
    asked = list(itertools.takewhile(lambda m: m.role != "assistant", example.messages))
    texts = [(m.role, m.content, m.context) for m in asked or example.messages[:1]]
    key = hashlib.sha256(json.dumps(texts).encode()).digest()
    return int.from_bytes(key[:8], "big") < share * 2**64
