"""code_exec: does the program that the model wrote pass its checks?"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from jaxllm.metrics import sandbox
from jaxllm.metrics.scores import Scores, normalise, scores_of


def code_exec(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Share of predictions that, with the reference's checks behind them, run to their end.

    A reference is a Python list of lines (`["assert f(1) == 2", ...]`, as MBPP has them) or a
    program that checks (as HumanEval has them). Each pair runs in a sandbox of its own; an error,
    an exit before the last check or a limit reached scores 0.
    """
    runs = sandbox.run_programs(
        [
            f"{normalise(prediction)}\n{_checks(normalise(reference))}\n"
            for prediction, reference in zip(predictions, references, strict=True)
        ]
    )
    return scores_of([run.finished for run in runs])


def why_missing() -> str:
    """Why no program can be run here; empty if it can."""
    return sandbox.why_no_sandbox()


def _checks(reference: str) -> str:
    try:
        lines = ast.literal_eval(reference.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return reference
    return "\n".join(map(str, lines)) if isinstance(lines, list) else reference
