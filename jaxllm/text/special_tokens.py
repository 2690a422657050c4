"""Special tokens: the strings that are one id when a template writes them, and text otherwise."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The special ids of a tokenizer, their names, and how to find the names in a text.

    `ids` maps each name to its id. `aliases` are further spellings that the tokenizer's model
    would turn into a special id by itself: no name, but not to be let through either.
    `strips_left` and `strips_right` name the tokens that swallow the white space beside them.
    """

    ids: Mapping[str, int]
    aliases: frozenset[str] = frozenset()
    strips_left: frozenset[str] = frozenset()
    strips_right: frozenset[str] = frozenset()

    @functools.cached_property
    def names(self) -> dict[int, str]:
        return {token_id: name for name, token_id in self.ids.items()}

    @functools.cached_property
    def _names_pattern(self) -> re.Pattern[str] | None:
        def alternative(name: str) -> str:
            left = r"\s*" if name in self.strips_left else ""
            right = r"\s*" if name in self.strips_right else ""
            return f"{left}({re.escape(name)}){right}"

        return _any_of(self.ids, alternative)

    @functools.cached_property
    def _spellings_pattern(self) -> re.Pattern[str] | None:
        return _any_of(self.aliases.union(self.ids), re.escape)

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Returns (start, end, id) of every special token written in `text`, from left to right."""
        if self._names_pattern is None:
            return []
        return [
            (match.start(), match.end(), self.ids[match[match.lastindex or 0]])
            for match in self._names_pattern.finditer(text)
        ]

    def split(self, text: str) -> list[str | int]:
        """Returns `text` as a list of special ids and the non-empty texts between them."""
        parts: list[str | int] = []
        cursor = 0
        for start, end, token_id in self.find(text):
            if start > cursor:
                parts.append(text[cursor:start])
            parts.append(token_id)
            cursor = end
        if cursor < len(text):
            parts.append(text[cursor:])
        return parts

    def cut(self, text: str) -> list[str]:
        """Returns `text` in pieces, cut behind the first character of each special spelling."""
        if self._spellings_pattern is None:
            return [text]
        cuts = [match.start() + 1 for match in self._spellings_pattern.finditer(text)]
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def mask(self, text: str, mark: str) -> str:
        """Returns `text` with `mark` inside each special name, so that `find` finds none of them.

        Take `mark` from `unused_mark` and remove it again from what `split` returns.
        """
        if self._spellings_pattern is None:
            return text
        return self._spellings_pattern.sub(lambda match: f"{match[0][0]}{mark}{match[0][1:]}", text)


def unused_mark(texts: Iterable[str]) -> str:
    """Returns a character of private use that occurs in none of the texts."""
    joined = "".join(texts)
    marks = (chr(code) for code in range(0xF0000, 0xFFFFE))
    return next(mark for mark in marks if mark not in joined)


def _any_of(names: Iterable[str], alternative: Callable[[str], str]) -> re.Pattern[str] | None:
    # The longest first: `<|end|>` must not be found inside a longer name that begins alike.
    ordered = sorted(filter(None, names), key=lambda name: (-len(name), name))
    return re.compile("|".join(map(alternative, ordered))) if ordered else None
