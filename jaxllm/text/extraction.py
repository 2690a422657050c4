"""From what a model wrote to what is scored."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

from jaxllm.errors import UserError


def _first_line(text: str) -> str:
    return unicodedata.normalize("NFKC", text).split("\n", 1)[0]


def _first_block(text: str) -> str:
    # Not stripped: under llm-jp-eval 1.3.0 "entailment\n" is no exact match of "entailment".
    return unicodedata.normalize("NFKC", text.split("\n\n")[0])


def _stripped_block(text: str) -> str:
    return _first_block(text).strip()


# llm-jp-eval 2's answer patterns: the first match counts, and none leaves nothing.
_PATTERNS = {
    "answer_tags": r"<answer>(.*?)</answer>",
    "choice_only": r"^(.*?)(?=\n|\Z)",
    "json_output": r"```json\s*\n?(.*?)\n?```",
    "code_output": r"```(?:\w+)?\s*\n?(.*?)\n?```",
    "v2": r"^(.*?)(?=\n\n|\Z)",
}


def _matched(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    return "".join(group or "" for group in found.groups()).strip() if found else ""


_EXTRACTIONS: dict[str, Callable[[str], str]] = {
    "v1.0": _first_line,
    "v1.3": _first_block,
    "strip": _stripped_block,
    **{name: functools.partial(_matched, pattern) for name, pattern in _PATTERNS.items()},
}


def extract(name: str, text: str) -> str:
    """Returns the answer inside a model's output.

    "v1.0" is NFKC and the first line; "v1.3" the text before the first blank line, then NFKC,
    nothing stripped, so that an output that begins with a blank line is empty (llm-jp-eval
    1.3.0); "strip" the same, stripped (Swallow's fork of it). "answer_tags", "choice_only",
    "json_output", "code_output" and "v2" (the text before the first blank line) are the answer
    patterns of llm-jp-eval 2, which normalises in its metrics.
    """
    if name not in _EXTRACTIONS:
        raise UserError(f"extraction {name!r} is unknown; choose from {', '.join(_EXTRACTIONS)}")
    return _EXTRACTIONS[name](text)
