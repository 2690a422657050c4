"""The checkpoints of one training run, by step, as `load_model` takes them."""

from __future__ import annotations

import re

from etils import epath

from jaxllm.errors import UserError
from jaxllm.weights import peft_folder
from jaxllm.weights.checkpoint import saved_steps
from jaxllm.weights.locate import CHECKPOINTS
from jaxllm.weights.model_files import has_model_files


def checkpoint_series(folder: epath.PathLike) -> list[tuple[int, epath.Path]]:
    """(step, what `load_model` takes) of every checkpoint, steps ascending.

    `folder` is a run of ours (its workdir or its `checkpoints`), or holds one Hugging Face or PEFT
    folder a checkpoint, whose name ends in its step (`iter_0001000`, `checkpoint-500`).

    Raises:
        UserError: there is none, or a name tells no step or one that another tells too.
    """
    path = epath.Path(folder)
    for place in (path / CHECKPOINTS, path):
        if has_model_files(place) and (steps := saved_steps(place)):
            return [(step, place / str(step)) for step in steps]
    children = sorted(path.iterdir()) if path.is_dir() else []
    models = [
        child
        for child in children
        if any((child / name).exists() for name in ("config.json", peft_folder.CONFIG))
    ]
    if not models:
        raise UserError(
            f"{path} holds no series of checkpoints: give the workdir of a run, or a folder with a "
            "Hugging Face folder for each step"
        )
    series: dict[int, epath.Path] = {}
    for child in models:
        found = re.search(r"(\d+)(?:[-_]hf)?$", child.name)
        if not found:
            raise UserError(f"{child}: its name does not end in the step it was saved at")
        step = int(found[1])
        if step in series:
            raise UserError(f"{child} and {series[step]} both name step {step}")
        series[step] = child
    return sorted(series.items())
