"""From what a model wrote to what is scored."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

from jaxllm.errors import UserError

Extraction = Callable[[str], str]

REGEX_PREFIX = "regex:"


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
}


def _matched(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    return "".join(group or "" for group in found.groups()).strip() if found else ""


def _boxed(text: str) -> str:
    """What stands in the first `\\boxed{...}`, its own braces paired."""
    start = text.find("\\boxed{")
    if start < 0:
        return ""
    start += len("\\boxed{")
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index].strip()
    return ""


_ANSWER_PATTERNS: dict[str, Extraction] = {
    **{name: functools.partial(_matched, pattern) for name, pattern in _PATTERNS.items()},
    "latex_boxed": _boxed,
}
_EXTRACTIONS: dict[str, Extraction] = {
    "v1.0": _first_line,
    "v1.3": _first_block,
    "strip": _stripped_block,
    "v2": functools.partial(_matched, r"^(.*?)(?=\n\n|\Z)"),
    **{
        name + language: pattern
        for name, pattern in _ANSWER_PATTERNS.items()
        for language in ("", "_jp", "_en")
    },
}


def get_extraction(name: str) -> Extraction:
    """The function from an output to its answer; UserError for a name that means nothing.

    "v1.0" is NFKC and the first line; "v1.3" the text before the first blank line, then NFKC,
    nothing stripped, so that an output that begins with a blank line is empty (llm-jp-eval
    1.3.0); "strip" the same, stripped (Swallow's fork of it).

    The answer patterns of llm-jp-eval 2, which normalises in its metrics, leave nothing where they
    do not match: "answer_tags", "choice_only", "json_output", "code_output", "latex_boxed" and
    "v2", its default, the text before the first blank line. With `_jp` or `_en` behind the name
    (not "v2") the prompt tells the model of the form too: `jaxllm.text.answer_formats`.
    "regex:PATTERN" is a pattern of one's own: its groups where it first matches, joined and
    stripped; `.` matches newlines too.
    """
    if name.startswith(REGEX_PREFIX):
        return functools.partial(_matched, _checked(name.removeprefix(REGEX_PREFIX)))
    if name not in _EXTRACTIONS:
        raise UserError(
            f"extraction {name!r} is unknown; choose from {', '.join(_EXTRACTIONS)},"
            f" {REGEX_PREFIX}PATTERN"
        )
    return _EXTRACTIONS[name]


def extract(name: str, text: str) -> str:
    """Returns the answer inside a model's output, by an extraction of `get_extraction`."""
    return get_extraction(name)(text)


def _checked(pattern: str) -> str:
    try:
        groups = re.compile(pattern, re.DOTALL).groups
    except re.error as error:
        raise UserError(f"extraction: {pattern!r} is no regular expression: {error}") from None
    if not groups:
        raise UserError(f"extraction: {pattern!r} needs (...) around what is the answer")
    return pattern
