"""Sources whose every token can be told from every other."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from jaxllm.input.records import Record
from jaxllm.input.sources import Contents, Source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource


@pytest.fixture
def make_source():
    """Returns a function from name and lengths to a source with ids first_id, first_id + 1, ..."""

    def make(name: str, lengths, first_id: int = 1) -> TokenizedSource:
        offsets = np.cumsum([0, *lengths], dtype=np.int64)
        loss_weights = np.ones(offsets[-1], np.float32)
        loss_weights[offsets[:-1]] = 0.0
        return TokenizedSource(
            name=name,
            ids=np.arange(first_id, first_id + offsets[-1], dtype=np.int32),
            loss_weights=loss_weights,
            offsets=offsets,
            example_ids=tuple(f"{name}-{i}" for i in range(len(lengths))),
            counts=TokenizeCounts(
                read=len(lengths),
                kept=len(lengths),
                truncated=0,
                dropped_long=0,
                dropped_untrained=0,
            ),
        )

    return make


@pytest.fixture
def listed():
    """Returns a function from records, given as dicts, to a source of them."""

    def source(records, name: str = "a.jsonl") -> Source:
        return Source(
            spec=f"jsonl:{name}",
            open=lambda: iter(
                Record(f"{name}, line {number}", f"{name}:{number}", record)
                for number, record in enumerate(records, start=1)
            ),
            examine=lambda: Contents(
                digest=hashlib.sha256(json.dumps(records).encode()).hexdigest(),
                num_records=len(records),
            ),
        )

    return source
