r"""Compares pairs of formulas by math-verify, in a process that may be killed at any time.

Prints `ready`, then for every line `["prediction", "reference"]` of its input one line, 1 or 0.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

from math_verify import parse, verify

_MEMORY = 2 * 2**30  # bytes
_DELIMITERS = ("\\boxed", "$", "\\(", "\\[")


def _parsed(text: str) -> list[Any]:
    """What math-verify finds in a text: expressions, and the text they stood in."""
    if any(mark in text for mark in _DELIMITERS):
        return parse(text, parsing_timeout=None)
    whole = parse(f"${text}$", parsing_timeout=None)
    if any(not isinstance(part, str) for part in whole):
        return whole
    return parse(text, parsing_timeout=None)


def _equivalent(prediction: str, reference: str) -> bool:
    if prediction.strip() == reference.strip():
        return bool(prediction.strip())
    try:
        return bool(verify(_parsed(reference), _parsed(prediction), timeout_seconds=None))
    except Exception:
        # SymPy raises whatever it likes on formulas that make no sense: they equal nothing.
        return False


def main() -> None:
    """Answers the lines of standard input until it ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(int(_equivalent(*json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
