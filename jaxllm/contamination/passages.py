"""Two texts side by side: the longest passage that both hold, with what stands around it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence

_AROUND = 60  # characters that are shown before and after
_SHARED = 240
_LOOKED_AT = 100_000  # characters of a text in which a passage is looked for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passage:
    """A piece of a text; an ellipsis marks where more was left out."""

    before: str
    shared: str
    after: str


def side_by_side(ones: Sequence[str], others: Sequence[str]) -> tuple[Passage, Passage]:
    """The longest passage that one of some texts shares with one of others, in both."""
    longest = None
    for one in ones:
        # The second text is the one that is indexed, so it is the sample's: the shorter one.
        matcher = difflib.SequenceMatcher(None, "", one[:_LOOKED_AT], autojunk=False)
        for other in others:
            matcher.set_seq1(other[:_LOOKED_AT])
            match = matcher.find_longest_match()
            if longest is None or match.size > longest[0]:
                longest = match.size, (one, match.b), (other, match.a)
    assert longest is not None, "both have a text"
    size, *places = longest
    first, second = (_passage(text, start, size) for text, start in places)
    return first, second


def _passage(text: str, start: int, size: int) -> Passage:
    end = start + size
    shared = text[start:end]
    if size > _SHARED:
        shared = f"{shared[: _SHARED // 2]} … {shared[-_SHARED // 2 :]}"
    return Passage(
        before=("…" if start > _AROUND else "") + text[max(start - _AROUND, 0) : start],
        shared=shared,
        after=text[end : end + _AROUND] + ("…" if end + _AROUND < len(text) else ""),
    )
