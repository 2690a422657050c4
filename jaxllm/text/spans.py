"""Spans of text turned into ids and loss weights together, so that no mask is ever guessed."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Literal

import numpy as np

from jaxllm.errors import UserError
from jaxllm.text.tokenizer import Tokenizer

BosPolicy = Literal["auto", "always", "never"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rendered:
    """A text to train on: int32 ids [T] and float32 loss_weights [T].

    `loss_weights[t]` is the weight of predicting `ids[t]` from what stands before it;
    `loss_weights[0]` is always 0.
    """

    ids: np.ndarray
    loss_weights: np.ndarray


class SpanWriter:
    """Collects the spans of one text, each tokenized apart from its neighbours.

    That each span is tokenized apart is what makes a prompt's ids a prefix of the ids of the
    prompt with its answer. The first text of all carries the tokenizer's dummy prefix, later ones
    do not: this equals the recipe of llm-jp-sft and instruct3, which tokenizes with a newline in
    front and drops the first ids.
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.begins_with_bos = False
        self._ids: list[int] = []
        self._weights: list[float] = []
        self._behind_special = False

    def text(self, text: str, *, trained: bool = False) -> None:
        """Writes a text in which special tokens are not looked for."""
        if self._ids:
            self._write(self.tokenizer.encode_continuation(text), trained)
        else:
            self._write(self.tokenizer.encode(text), trained)

    def token(self, token_id: int, *, trained: bool = False) -> None:
        self._write([token_id], trained)

    def marked_text(self, text: str, *, mark: str, trained: bool = False) -> None:
        """Writes a text with special tokens in it, by name.

        Names that `SpecialTokens.mask` has hidden with `mark` are ordinary text.
        """
        for part in self.tokenizer.special.split(text):
            if isinstance(part, int):
                self._write([part], trained)
                self._behind_special = True
                continue
            part = part.replace(mark, "")
            if not self._ids or (self._behind_special and self.tokenizer.prefix_after_special):
                self._write(self.tokenizer.encode(part), trained)
            else:
                self._write(self.tokenizer.encode_continuation(part), trained)
            self._behind_special = False

    def finish(self, bos: BosPolicy) -> Rendered:
        """Returns what was written, with one bos in front or none, as the policy says.

        "auto" adds bos where the tokenizer would, "always" wherever there is one to add; a bos
        that the text begins with already is never doubled. "never" takes away the one that a chat
        template printed.
        """
        ids, weights = list(self._ids), list(self._weights)
        bos_id = self.tokenizer.bos_id
        if bos not in ("auto", "always", "never"):
            raise UserError(f"bos is {bos!r}; it must be auto, always or never")
        if bos == "always" and bos_id is None:
            raise UserError(
                f'the tokenizer {self.tokenizer.name} has no bos token: bos="auto" or "never" works'
            )
        if bos == "never":
            if self.begins_with_bos:
                ids, weights = ids[1:], weights[1:]
        elif (bos == "always" or self.tokenizer.adds_bos) and ids[:1] != [bos_id]:
            ids, weights = [bos_id, *ids], [0.0, *weights]
        loss_weights = np.asarray(weights, np.float32)
        # The first token has no predecessor to predict it from.
        loss_weights[:1] = 0
        return Rendered(ids=np.asarray(ids, np.int32), loss_weights=loss_weights)

    def _write(self, ids: list[int], trained: bool) -> None:
        self._ids += ids
        self._weights += [float(trained)] * len(ids)
        self._behind_special = False


def describe(tokenizer: Tokenizer, rendered: Rendered) -> str:
    """Returns an example as text, each trained span in double brackets: `問い[[答え</s>]]`.

    Special tokens are written by name. For logs: the brackets are not escaped.
    """
    edges = np.flatnonzero(np.diff(rendered.loss_weights > 0)) + 1
    bounds = [0, *edges.tolist(), len(rendered.ids)]
    texts = []
    for start, stop in itertools.pairwise(bounds):
        ids = rendered.ids[start:stop].tolist()
        decode = tokenizer.decode_continuation if start else tokenizer.decode
        text = decode(ids, skip_special=False)
        trained = start < stop and rendered.loss_weights[start] > 0
        texts.append(f"[[{text}]]" if trained else text)
    return "".join(texts)
