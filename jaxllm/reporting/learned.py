"""Which categories a tuned model has learned, by one rule that is written on every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxllm.reporting.boards import BASE, CONTROL, MAJORITY, Board
from jaxllm.reporting.pairing import category_differences
from jaxllm.reporting.results import Result
from jaxllm.reporting.statistics import Interval

RULE = (
    "A category counts as learned when the tuned model scores above the majority answer and above"
    " the control with blanked input, both differences taken sample by sample and both with a"
    " 95 % confidence interval that lies entirely above zero."
)

_REFERENCES = {MAJORITY: "the majority answer", CONTROL: "the blanked-input control"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of one category (or of the average) of a tuned model.

    `gains` holds the paired differences tuned - other, by role of the other; a role is absent where
    there is no such run or no shared samples. `learned` is None where the rule cannot be applied.
    """

    category: str
    learned: bool | None
    gains: Mapping[str, Interval]
    sentence: str


def judge(board: Board, tuned: Result) -> tuple[Verdict, ...]:
    """One verdict for each category of the board that the tuned model was measured on."""
    others = {role: reference_for(board, tuned, role) for role in (MAJORITY, CONTROL, BASE)}
    differences = {
        role: category_differences(other, tuned) for role, other in others.items() if other
    }
    verdicts = []
    for category in board.categories:
        if category not in tuned.categories:
            continue
        gains = {role: by[category] for role, by in differences.items() if category in by}
        learned = None
        if all(role in gains for role in _REFERENCES):
            learned = all(gains[role].low > 0 for role in _REFERENCES)
        verdicts.append(
            Verdict(
                category=category,
                learned=learned,
                gains=gains,
                sentence=_sentence(learned, gains),
            )
        )
    return tuple(verdicts)


def reference_for(board: Board, tuned: Result, role: str) -> Result | None:
    """The run of this role to hold a tuned run against, of its own workdir or model if any is."""
    candidates = board.having(role)

    def nearness(other: Result) -> tuple[bool, bool]:
        workdirs = other.record["run"].get("workdir"), tuned.record["run"].get("workdir")
        names = other.record["model"]["name"], tuned.record["model"]["name"]
        return workdirs[0] == workdirs[1] is not None, names[0] == names[1]

    return max(candidates, key=nearness, default=None)


def _sentence(learned: bool | None, gains: Mapping[str, Interval]) -> str:
    if learned is None:
        absent = [name for role, name in _REFERENCES.items() if role not in gains]
        verdict = f"Cannot be said without {' and '.join(absent)} on the same samples"
    elif learned:
        verdict = f"Above {' and '.join(_REFERENCES.values())}"
    else:
        short = [name for role, name in _REFERENCES.items() if gains[role].low <= 0]
        verdict = f"Not clearly above {' or '.join(short)}"
    if BASE not in gains:
        return f"{verdict}."
    if gains[BASE].low > 0:
        return f"{verdict}; better than before tuning."
    if gains[BASE].high < 0:
        return f"{verdict}; worse than before tuning."
    return f"{verdict}; no clear change from before tuning."
