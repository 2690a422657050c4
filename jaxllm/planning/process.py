"""A trial in a process of its own.

The compiler for TPUs is told where it is by environment variables, before JAX starts; a program too
large for the host kills only this process, and its memory is given back.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxllm.config import save_config
from jaxllm.errors import UserError
from jaxllm.planning.trial import DecodeTrial, Trial

JOB, REPLY = "job.json", "reply.json"
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",  # it does not keep programs for absent devices
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # others may compile at the same time
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a trial does.

    Attributes:
      topology: one slice, by name.
      read_data: whether steps and positions with loss are taken from the data of the config.
      compiles: whether counting is not enough.
      always: whether to compile also what cannot fit, for what the compiler says of it.
      evaluation: whether the programs of evaluators are compiled too.
      model: the one that a config of `jaxllm evaluate` is for.
    """

    topology: str
    num_slices: int = 1
    read_data: bool = False
    compiles: bool = True
    always: bool = False
    evaluation: bool = False
    model: str = ""


def run_trial(config: ConfigDict, job: Job) -> Trial | DecodeTrial:
    """The trial of `config` as `job` says.

    Raises:
        UserError: the config cannot run on this topology, or libtpu is not installed.
    """
    (trial,) = run_trials([config], job)
    if isinstance(trial, UserError):
        raise trial
    return trial


def run_trials(configs: Sequence[ConfigDict], job: Job) -> list[Trial | DecodeTrial | UserError]:
    """The trials of several configs, one after another in one process, or why there is none."""
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "plans are made by the compiler for TPUs, which is not installed: "
            "pip install -e '.[plan]'"
        )
    with tempfile.TemporaryDirectory(prefix="jaxllm-plan-") as folder:
        place = Path(folder)
        names = [f"config_{number}.json" for number in range(len(configs))]
        for name, config in zip(names, configs, strict=True):
            save_config(config, place / name)
        (place / JOB).write_text(json.dumps({"configs": names, **dataclasses.asdict(job)}))
        done = subprocess.run(
            [sys.executable, "-m", "jaxllm.planning.worker", folder],
            env={**os.environ, **_ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
        )
        reply = place / REPLY
        if not reply.exists():
            end = "\n".join((done.stderr or done.stdout).strip().splitlines()[-20:])
            raise RuntimeError(f"compiling ended with status {done.returncode}:\n{end}")
        answers = json.loads(reply.read_text())
    return [_read(answer) for answer in answers]


def _read(answer: dict[str, Any]) -> Trial | DecodeTrial | UserError:
    if "error" in answer:
        return UserError(answer["error"])
    kind = Trial if "step" in answer["trial"] else DecodeTrial
    return kind.from_json(answer["trial"])
