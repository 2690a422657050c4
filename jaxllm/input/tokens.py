"""Tokens of a source, and what became of its records on the way."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizeCounts:
    """What became of a source's examples.

    `read` is the sum of kept, held-out and dropped ones. `held_out` are those of the part that is
    not asked for: kept from training, or trained on where the held-out part is asked for.
    `truncated` are among the kept. `dropped_untrained` have no token with a loss weight, be it
    from the start or because the cut took all of them.
    """

    read: int
    kept: int
    truncated: int
    dropped_long: int
    dropped_untrained: int
    held_out: int = 0

    def __add__(self, other: TokenizeCounts) -> TokenizeCounts:
        """The counts of both together."""
        names = (field.name for field in dataclasses.fields(self))
        return TokenizeCounts(**{n: getattr(self, n) + getattr(other, n) for n in names})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenPart:
    """The tokens of a stretch of a source: `ids`, `loss_weights` and `lengths` as below."""

    ids: np.ndarray
    loss_weights: np.ndarray
    lengths: np.ndarray
    example_ids: tuple[str, ...]
    counts: TokenizeCounts


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedSource:
    """All examples of one source, end to end: example i is `ids[offsets[i]:offsets[i + 1]]`.

    Attributes:
      name: what the plan shuffles by and the reports print.
      ids: int32 [tokens].
      loss_weights: float32 [tokens]; the weight of predicting the token at the same place.
      offsets: int64 [examples + 1].
      example_ids: where each example came from, for messages.
      counts: how many were kept, cut, dropped.
      origin: what the tokens were made from, by the names of `provenance.CAUSES`.
      reference_log_probs: float32 [tokens], what another model says of the token at the same place
        (see `jaxllm.objectives.reference`), where it was asked.
    """

    name: str
    ids: np.ndarray
    loss_weights: np.ndarray
    offsets: np.ndarray
    example_ids: tuple[str, ...]
    counts: TokenizeCounts
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reference_log_probs: np.ndarray | None = None

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of the tokens, their weights and the examples' lengths."""
        arrays = ((self.ids, "<i4"), (self.loss_weights, "<f4"), (self.lengths, "<i8"))
        return joined_digest(
            hashlib.sha256(np.ascontiguousarray(array, dtype).data) for array, dtype in arrays
        )

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, int64 [examples]."""
        return np.diff(self.offsets)

    @property
    def num_trained_tokens(self) -> int:
        """Tokens with a loss weight above 0."""
        return int(np.count_nonzero(self.loss_weights > 0))

    def first(self, count: int) -> TokenizedSource:
        """The source of its first examples alone; all of it where it has no more."""
        offsets = self.offsets[: count + 1]
        return dataclasses.replace(
            self,
            ids=self.ids[: offsets[-1]],
            loss_weights=self.loss_weights[: offsets[-1]],
            offsets=offsets,
            example_ids=self.example_ids[:count],
        )


def joined_digest(digests: Iterable[Any]) -> str:
    """Returns the digest of `TokenizedSource` from those of its ids, loss weights and lengths."""
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def join_parts(
    parts: Iterable[TokenPart], *, name: str, origin: Mapping[str, Any]
) -> TokenizedSource:
    """Returns the parts as one source, in memory."""
    parts = list(parts)
    lengths = np.concatenate([part.lengths for part in parts])
    return TokenizedSource(
        name=name,
        ids=np.concatenate([part.ids for part in parts]),
        loss_weights=np.concatenate([part.loss_weights for part in parts]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        example_ids=tuple(id for part in parts for id in part.example_ids),
        counts=functools.reduce(TokenizeCounts.__add__, (part.counts for part in parts)),
        origin=origin,
    )
