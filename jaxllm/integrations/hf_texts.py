"""Texts to ids and back, and conversations to texts, as transformers has them by default."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxllm.errors import UserError
from jaxllm.text.chat_template import render_chat
from jaxllm.text.special_tokens import unused_mark
from jaxllm.text.tokenizer import Tokenizer


class HFTexts:
    """A tokenizer used as transformers' is.

    Names of special tokens in a text are these tokens, and around it stands what the tokenizer
    puts there.

    Args:
        add_bos: whether that is bos; None leaves it to the tokenizer, which may add eos as well.
    """

    def __init__(self, tokenizer: Tokenizer, *, add_bos: bool | None = None) -> None:
        self.tokenizer = tokenizer
        bos, adds_bos = tokenizer.bos_id, tokenizer.adds_bos if add_bos is None else add_bos
        self._before = [bos] if adds_bos and bos is not None else []
        self._behind = [tokenizer.eos_id] if tokenizer.adds_eos and add_bos is None else []
        if self._behind:
            warnings.warn(
                f"the tokenizer {tokenizer.name} puts eos behind every text, prompts too, and "
                "transformers leaves it there; add_bos_token=False leaves it out",
                stacklevel=3,
            )

    def encode(self, text: str, *, beginning: str | None = None) -> list[int]:
        """The ids of a text; nothing is put around one that brings its `beginning` along."""
        if beginning is not None and text.startswith(beginning):
            return self.encode_bare(text)
        return [*self._before, *self.encode_bare(text), *self._behind]

    def encode_bare(self, text: str) -> list[int]:
        """The ids of a text with nothing around it."""
        return self.tokenizer.encode(text, encode_special=True)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids without the special and the unknown ones, the others as one stretch."""
        special, size = self.tokenizer.special.names, self.tokenizer.vocab_size
        return self.tokenizer.decode(i for i in ids if i < size and i not in special)

    def name(self, token: int) -> str:
        """One token as text, a special one too."""
        return self.tokenizer.decode([token], skip_special=False)

    def chat(
        self,
        turns: Sequence[Mapping[str, str]],
        *,
        goes_on: bool = False,
        variables: Mapping[str, Any],
    ) -> str:
        """Turns of `role` and `content` in the tokenizer's chat template, and the answer's opening.

        With `goes_on` the text ends inside the last turn instead. A template that refuses system
        turns is given the others.

        Raises:
            UserError: there is no chat template, or it refuses these turns.
        """
        if not goes_on:
            return self._rendered(turns, asks=True, variables=variables)
        mark = unused_mark(turn["content"] for turn in turns)
        *before, last = turns
        turns = [*before, {**last, "content": f"{last['content']}{mark} "}]
        text, _, rest = self._rendered(turns, asks=False, variables=variables).rpartition(mark)
        # Where the template trims a turn, the space is gone, and those before the mark go too.
        return text if rest.startswith(" ") else text.rstrip()

    def _rendered(
        self, turns: Sequence[Mapping[str, str]], *, asks: bool, variables: Mapping[str, Any]
    ) -> str:
        source = self.tokenizer.chat_template
        if source is None:
            raise UserError(f"the tokenizer {self.tokenizer.name} has no chat template")
        today = datetime.date.today().isoformat()
        try:
            return render_chat(
                self.tokenizer, turns, source=source, asks=asks, date=today, variables=variables
            )
        except UserError:
            others = [turn for turn in turns if turn["role"] != "system"]
            if len(others) == len(turns):
                raise
            warnings.warn("the chat template refuses system turns; left out", stacklevel=4)
            return self._rendered(others, asks=asks, variables=variables)
