"""Which sources of a mixture are here, and where those that are not can be had."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping

import rich.box
from etils import epath
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from jaxllm.errors import MissingData
from jaxllm.input.entries import MixtureEntry, read_entries
from jaxllm.input.sources import where_to_get

_WIDTH = 120


def missing_entries(
    entries: Mapping[str, MixtureEntry], *, data_dir: epath.PathLike
) -> dict[str, str]:
    """Where to get the optional entries that are not here, by their names.

    Raises:
      MissingData: one that is not optional is missing, or all are.
    """
    missing = {}
    for name, entry in entries.items():
        try:
            entry.find(data_dir)
        except MissingData as error:
            if not entry.optional:
                raise
            told = f"{error}: {entry.origin}" if entry.origin else str(error)
            missing[name] = where_to_get(entry.source, data_dir) or told
    if len(missing) == len(entries):
        raise MissingData(f"nothing to train on is here\n{_table(entries, missing, data_dir)}")
    return missing


def describe_presence(config: ConfigDict, *, data_dir: epath.PathLike) -> str:
    """Returns a table of the sources of `config.mixture`: here or not, and where to get it.

    It is empty where no entry is optional. Raises as `missing_entries`.
    """
    entries = read_entries(config)
    missing = missing_entries(entries, data_dir=data_dir)
    return _table(entries, missing, data_dir) if any(e.optional for e in entries.values()) else ""


def _table(names: Iterable[str], missing: Mapping[str, str], data_dir: epath.PathLike) -> str:
    table = Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("source", no_wrap=True)
    table.add_column("here")
    table.add_column("where to get it", overflow="fold")
    for name in names:
        table.add_row(name, "no" if name in missing else "yes", missing.get(name, ""))
    text = io.StringIO()
    Console(file=text, width=_WIDTH, no_color=True, highlight=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().rstrip().splitlines()]
    return "\n".join([f"Sources (DATA_DIR is {os.fspath(data_dir)})", *lines, ""])
