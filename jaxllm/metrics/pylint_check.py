"""pylint_check: is the answer a program in which pylint finds no error?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxllm.metrics.scores import Scores, normalise, scores_of

# Long after the slowest answers have been read: a limit for what makes pylint hang.
_SECONDS, _SECONDS_OF_EACH = 60, 2


def pylint_check(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Share of predictions without a message of pylint's category error, whatever the references.

    What cannot be parsed, and what pylint itself fails on, has one. The answers are read and not
    run, all by one pylint with its own defaults, whatever configuration lies about.
    """
    del references
    with tempfile.TemporaryDirectory(prefix="jaxllm-pylint-") as folder:
        names = [f"answer_{index:06d}" for index in range(len(predictions))]
        for name, prediction in zip(names, predictions, strict=True):
            text = normalise(prediction).encode("utf-8")
            (Path(folder) / f"{name}.py").write_bytes(text)
        wrong = _with_errors(Path(folder), names)
    return scores_of([name not in wrong for name in names])


def _with_errors(folder: Path, names: Sequence[str]) -> set[str]:
    messages = _messages(folder, names)
    if messages is not None:
        return {Path(message["path"]).stem for message in messages}
    if len(names) == 1:
        return set(names)
    # One answer makes pylint itself fail, such as a sum of 3,000 terms: find it by halves.
    middle = len(names) // 2
    return _with_errors(folder, names[:middle]) | _with_errors(folder, names[middle:])


def _messages(folder: Path, names: Sequence[str]) -> list[dict[str, Any]] | None:
    """What pylint says of these files; None where it fails or hangs."""
    command = [
        *(sys.executable, "-P", "-m", "pylint", "--rcfile=/dev/null", "--disable=all"),
        *("--enable=E,F", "--output-format=json2", f"--jobs={len(os.sched_getaffinity(0))}"),
        *(f"{name}.py" for name in names),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYLINTHOME": str(folder / "home")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS + _SECONDS_OF_EACH * len(names),
            check=False,
        )
        return json.loads(done.stdout)["messages"]
    except (subprocess.TimeoutExpired, ValueError):
        return None
