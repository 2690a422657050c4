"""Where weights come from: the stages of training behind them, as far as runs of ours tell."""

from __future__ import annotations

import json
import os
from typing import Any

from etils import epath

from jaxllm.config import CONFIG_FILE

_LONGEST = 20  # stages; a run that names itself would go on for ever
_STEP_DEPTH = 2  # WORKDIR/checkpoints/STEP


def lineage_of(source: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The stages behind a model, the first one first; `source` is as `load_model` takes it.

    The first is `{"init_from": SOURCE}`, the weights that no run of ours made (null: fresh ones).
    Each run adds `{"workdir", "objective", "mixture", "steps", "epochs", "seed"}`, the mixture as
    the entries' `source`, `split`, `weight` and `repeat` by name.
    """
    stages: list[dict[str, Any]] = []
    place: str | None = os.fspath(source)
    while place and len(stages) < _LONGEST:
        run = _run_config(epath.Path(place))
        if run is None:
            break
        workdir, config = run
        stages.append(
            {
                "workdir": os.fspath(workdir),
                "objective": config.get("objective", "sft"),
                "mixture": {
                    name: {key: entry.get(key) for key in ("source", "split", "weight", "repeat")}
                    for name, entry in config["mixture"].items()
                },
                **{key: config.get(key) for key in ("steps", "epochs", "seed")},
            }
        )
        place = config["init_from"]
    return [{"init_from": place or None}, *reversed(stages)]


def _run_config(place: epath.Path) -> tuple[epath.Path, dict[str, Any]] | None:
    """The workdir and config of the training run that a place lies in, None where it is no run."""
    for folder in (place, *list(place.parents)[:_STEP_DEPTH]):
        path = folder / CONFIG_FILE
        try:
            config = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        # A Hugging Face folder has a config.json too.
        if isinstance(config, dict) and isinstance(config.get("mixture"), dict):
            return folder, config
        return None
    return None
