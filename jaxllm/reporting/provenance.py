"""Where a result comes from, in words: its model, its training, its decoding, its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxllm.reporting.results import Result

_STAGE_FACTS = ("steps", "epochs", "seed", "workdir")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of training: `name` says how, or with what weights it began; `sources` on what."""

    name: str
    facts: dict[str, str]
    sources: tuple[str, ...]


def stages(result: Result) -> tuple[Stage, ...]:
    """The stages behind a result's model, the first one first; empty where nothing is known."""
    return tuple(
        _stage(stage)
        for stage in result.record["model"].get("lineage") or ()
        if isinstance(stage, Mapping)
    )


def _stage(stage: Mapping[str, Any]) -> Stage:
    mixture = stage.get("mixture") or ()
    entries = mixture.values() if isinstance(mixture, Mapping) else mixture
    sources = []
    for entry in entries:
        if isinstance(entry, Mapping):
            weight = entry.get("weight")
            sources.append(f"{entry.get('source')}{f' × {weight}' if weight else ''}")
        else:
            sources.append(str(entry))
    start = stage.get("init_from") or "fresh weights"
    return Stage(
        name=str(start if "init_from" in stage else stage.get("objective") or ""),
        facts={name: _words(stage[name]) for name in _STAGE_FACTS if stage.get(name)},
        sources=tuple(sources),
    )


def facts(result: Result) -> dict[str, str]:
    """What is known of a result, by name; what is not known is absent."""
    record = result.record
    found = {
        "model": record["model"].get("source"),
        "revision": record["model"].get("revision"),
        "parameters": record["model"].get("num_params"),
        "step": result.step,
        "training tokens": record["run"].get("tokens"),
        "decoding": ", ".join(f"{key} {value}" for key, value in record.get("decode", {}).items()),
        "code": record.get("code_version"),
        "folder": str(result.folder),
    }
    return {name: _words(value) for name, value in found.items() if value not in (None, "")}


def _words(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
