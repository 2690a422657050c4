"""A view before it is drawn: words for the terminal and Markdown, plain values for files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow
import pyarrow.parquet
import rich.box
import rich.markup
from etils import epath
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxllm.errors import UserError

MISSING = "–"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One table: a title, columns and rows in words (cells may have lines), and remarks below.

    `records` are the same rows as plain values under names that stay the same from version to
    version: what CSV, Parquet and JSON hold. `is_text` tells that all cells are words to read.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    is_text: bool = False


def render_grid(grid: Grid) -> RenderableType:
    """The grid for a terminal, by rich."""
    table = Table(
        title=rich.markup.escape(grid.title),
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        # Ten columns of scores and the models' names have to fit into 80 characters.
        padding=0,
        pad_edge=False,
    )
    for index, column in enumerate(grid.columns):
        if index == 0 or grid.is_text:
            table.add_column(rich.markup.escape(column), overflow="fold", min_width=12)
        else:
            table.add_column(rich.markup.escape(column), justify="right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return Group(table, *map(Text, grid.notes))


def markdown(grids: Sequence[Grid]) -> str:
    """The grids as Markdown tables with their titles and remarks."""
    parts = []
    for grid in grids:
        head = [f"| {' | '.join(map(_escaped, grid.columns))} |"]
        head.append(f"|{'|'.join(['---', *['---:'] * (len(grid.columns) - 1)])}|")
        rows = [f"| {' | '.join(map(_escaped, row))} |" for row in grid.rows]
        notes = [f"\n{_escaped(note)}" for note in grid.notes]
        parts.append("\n".join([f"## {_escaped(grid.title)}\n", *head, *rows, *notes, ""]))
    return "\n".join(parts)


def write_grids(path: str | epath.Path, grids: Sequence[Grid]) -> None:
    """Writes the grids to a .csv, .parquet, .json or .md file, chosen by its ending.

    All but Markdown hold `records`, one below the other with `table` for the grid's title.
    Raises UserError for another ending.
    """
    path = epath.Path(path)
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A model may end a text in half a surrogate pair, which UTF-8 cannot hold.
    path.write_bytes(_FORMATS[path.suffix](grids))


def check_format(path: str | epath.Path) -> None:
    """Raises UserError for a file whose ending names no format."""
    if epath.Path(path).suffix not in _FORMATS:
        raise UserError(f"{path}: the ending chooses the format: {', '.join(_FORMATS)}")


def _records(grids: Sequence[Grid]) -> list[dict[str, Any]]:
    rows = [{"table": grid.title, **record} for grid in grids for record in grid.records]
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def _csv(grids: Sequence[Grid]) -> bytes:
    rows, out = _records(grids), io.StringIO(newline="")
    writer = csv.DictWriter(out, rows[0] if rows else ())
    writer.writeheader()
    writer.writerows(rows)
    return _utf8(out.getvalue())


def _parquet(grids: Sequence[Grid]) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(_records(grids)), out)
    return out.getvalue()


def _json(grids: Sequence[Grid]) -> bytes:
    return _utf8(json.dumps(_records(grids), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def _markdown(grids: Sequence[Grid]) -> bytes:
    return _utf8(markdown(grids))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


_FORMATS: dict[str, Callable[[Sequence[Grid]], bytes]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".md": _markdown,
}


def _escaped(text: str) -> str:
    """Text that stays text in Markdown and in the HTML that is made of it."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("\\", "\\\\"), ("|", "\\|")):
        text = text.replace(sign, written)
    return " ".join(text.split())
