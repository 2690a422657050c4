"""Environments of their own for the metrics that need torch, which jaxllm never imports.

`jaxllm metrics install NAME` makes one: a virtual environment under `resolve_metrics_dir()` with
pinned packages. A metric then starts environment_worker.py in it, hands over the samples as lines
of JSON and reads the scores.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxllm.errors import UserError
from jaxllm.metrics.registry import MissingMetric
from jaxllm.metrics.scores import Scores, scores_of
from jaxllm.paths import resolve_metrics_dir

_WORKER = Path(__file__).with_name("environment_worker.py")
_MARK = "installed.json"  # written last: an environment without it is unfinished


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What an environment is made of: pip's arguments, one call after the other."""

    installs: tuple[tuple[str, ...], ...]
    models: str  # whose weights come from the Hugging Face hub at the first score


# torch goes first and alone, so that nothing that also wants torch chooses another.
_TORCH = ("torch==2.13.0",)
ENVIRONMENTS = {
    "bert_score": Environment(
        installs=(_TORCH, ("bert-score==0.3.13", "transformers==4.57.6")),
        models="bert-base-multilingual-cased and roberta-large",
    ),
    "comet": Environment(
        installs=(
            _TORCH,
            (
                "unbabel-comet==2.2.7",
                "transformers==4.57.6",
                "numpy==1.26.4",
                "pandas==2.3.3",
                "setuptools==80.9.0",  # the last with pkg_resources, which torchmetrics imports
            ),
        ),
        models="Unbabel/wmt22-comet-da",
    ),
}


def install(name: str) -> Path:
    """Makes the environment anew and returns its folder; pip's output goes to stderr.

    Raises UserError for an unknown name and when pip fails.
    """
    if name not in ENVIRONMENTS:
        raise UserError(f"there is no environment {name!r}; there are {', '.join(ENVIRONMENTS)}")
    folder = _folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    for requirements in ENVIRONMENTS[name].installs:
        pip = [str(_python(name)), "-m", "pip", "--disable-pip-version-check", "install"]
        _run([*pip, *requirements])
    (folder / _MARK).write_text(_pins(name), encoding="utf-8")
    return folder


def why_missing(name: str) -> str:
    """Why the environment cannot be used, empty if it can."""
    mark = _folder(name) / _MARK
    if not mark.exists():
        return f"it needs an environment of its own: jaxllm metrics install {name}"
    if mark.read_text(encoding="utf-8") != _pins(name):
        return f"its environment has other versions than this jaxllm: jaxllm metrics install {name}"
    return ""


def score_in(name: str, metric: str, samples: Sequence[Mapping[str, str]]) -> Scores:
    """Scores samples by a metric of environment_worker.py; MissingMetric says why it failed."""
    lines = "".join(f"{json.dumps(sample)}\n" for sample in samples)
    # A PYTHONPATH is meant for this Python and its versions.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(_python(name)), "-P", str(_WORKER), metric],
        input=lines.encode(),
        capture_output=True,
        env=environment,
        check=False,
    )
    scores = [float(line) for line in done.stdout.split()]
    if done.returncode or len(scores) != len(samples):
        told = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        raise MissingMetric(
            f"{metric} failed: {told[-1] if told else f'status {done.returncode}'}; the weights of"
            f" {ENVIRONMENTS[name].models} come from the Hugging Face hub, or from a cache that"
            " HF_HOME names"
        )
    return scores_of(scores)


def _folder(name: str) -> Path:
    return Path(resolve_metrics_dir()) / name


def _python(name: str) -> Path:
    return _folder(name) / "bin" / "python"


def _pins(name: str) -> str:
    return json.dumps(ENVIRONMENTS[name].installs)


def _run(command: Sequence[str]) -> None:
    # Standard output belongs to what the verb prints.
    if status := subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise UserError(f"`{' '.join(command)}` ended with status {status}; what it said is above")
