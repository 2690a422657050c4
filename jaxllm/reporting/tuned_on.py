"""Which tasks a model was tuned on, from the lineage that its results carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jaxllm.reporting.results import Result

_ALIAS = "jaster/"  # "jaster/NAME" is the corpus NAME


def mixture_sources(lineage: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sources of all stages' mixtures, each once.

    A stage of ours names entries with a `source`; a card may list the sources themselves.
    """
    sources: list[str] = []
    for stage in lineage:
        mixture = stage.get("mixture") or ()
        entries = mixture.values() if isinstance(mixture, Mapping) else mixture
        sources += [
            str(entry["source"] if isinstance(entry, Mapping) else entry) for entry in entries
        ]
    return list(dict.fromkeys(sources))


def tuned_tasks(result: Result) -> frozenset[str]:
    """The result's tasks whose corpus stands in a mixture that the model was trained on."""
    corpora = {
        source.removeprefix(_ALIAS)
        for source in mixture_sources(result.record["model"].get("lineage") or ())
    }
    return frozenset(name for name, task in result.tasks.items() if task.get("corpus") in corpora)


def unreadable_sources(result: Result) -> tuple[str, ...]:
    """Sources of the lineage that are files or foreign sets, of which names tell nothing."""
    return tuple(
        source
        for source in mixture_sources(result.record["model"].get("lineage") or ())
        if ":" in source
    )
