"""json_validity: is the answer JSON?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NoReturn

from jaxllm.metrics.scores import Scores, scores_of


def json_validity(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Share of predictions that are one JSON value, whatever the references are.

    As RFC 8259 has it: NaN and Infinity, which Python reads, are no JSON. Neither is what is nested
    too deeply for Python to read.
    """
    del references
    return scores_of([_is_json(prediction) for prediction in predictions])


def _is_json(text: str) -> bool:
    try:
        # Numbers stay text: Python refuses those of more than 4,300 digits.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
