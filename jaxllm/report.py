"""`jaxllm report`: compare results, in the terminal or on one HTML page."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from etils import epath
from rich.console import Console

from jaxllm.contamination.result import read_overlapping
from jaxllm.errors import UserError
from jaxllm.observe.writer import read_scalars
from jaxllm.reporting.boards import BASE, CONTROL, MAJORITY, TUNED, Board, make_boards
from jaxllm.reporting.browsing import DEFAULT_LIMIT
from jaxllm.reporting.grid import Grid, check_format, render_grid, write_grids
from jaxllm.reporting.learned import RULE, judge, reference_for
from jaxllm.reporting.readers import Material, read_material
from jaxllm.reporting.results import Result, write_whole_file
from jaxllm.reporting.site.build import write_site
from jaxllm.reporting.site.folder import check_place
from jaxllm.reporting.store import build_store, open_store, query
from jaxllm.reporting.table import as_records, render, score_table
from jaxllm.reporting.views import (
    VIEWS,
    ViewOptions,
    comparisons,
    training_run,
    tuning_effect,
)
from jaxllm.reporting.without_overlap import Overlapping
from jaxllm.verb import Verb, run_verb

_EXAMPLE = """\
DIR is a result folder, or any folder above some, such as a run's workdir. Folders that are damaged
or unfinished are named and left out.

example: jaxllm report runs/base runs/sft --html=report.html
"""


def report(
    folders: Sequence[str | epath.Path],
    *,
    html: str | epath.Path | None = None,
    site: str | epath.Path | None = None,
    max_samples: int = DEFAULT_LIMIT,
    without_overlap: str | epath.Path | None = None,
) -> dict[str, Any]:
    """The results in these folders as plain dicts: tables, what was learned, what was left out.

    With `html` also writes the page, which carries up to `max_samples` samples a task, with `site`
    the folder of pages that carry all. With `without_overlap`, a folder of `jaxllm data overlap`,
    tables also have each run's scores without the samples that overlap. Raises UserError when a
    folder does not exist, none holds a readable result, or `site` holds something else.
    """
    overlapping = read_overlapping(without_overlap) if without_overlap else None
    material, boards = _read(folders)
    if html is not None:
        _write_page(epath.Path(html), material, boards, max_samples, overlapping)
    if site is not None:
        write_site(material, epath.Path(site))
    return {
        "tables": as_records([score_table(board, overlapping=overlapping) for board in boards]),
        "rule": RULE,
        "learned": [_learned(board, run) for board in boards for run in board.having(TUNED)],
        "left_out": list(material.left_out),
    }


def _read(places: Sequence[str | epath.Path]) -> tuple[Material, tuple[Board, ...]]:
    material = read_material(places)
    return material, make_boards(material.results)


def _learned(board: Board, run: Result) -> dict[str, Any]:
    return {
        "run": board.label(run),
        "against": {
            role: board.label(other)
            for role in (MAJORITY, CONTROL, BASE)
            if (other := reference_for(board, run, role))
        },
        "categories": [
            {
                "category": verdict.category,
                "learned": verdict.learned,
                "sentence": verdict.sentence,
                "gains": {role: dataclasses.asdict(gain) for role, gain in verdict.gains.items()},
            }
            for verdict in judge(board, run)
        ],
    }


def _write_page(
    path: epath.Path,
    material: Material,
    boards: Sequence[Board],
    max_samples: int,
    overlapping: Overlapping | None,
) -> None:
    from jaxllm.reporting.html import render_page  # plotly is slow to import

    scalars, unreadable = {}, []
    runs = {str(run) for result in material.results if (run := training_run(result))}
    for workdir in sorted(runs):
        try:
            scalars[epath.Path(workdir).name] = read_scalars(workdir)
        except UserError as error:
            unreadable.append(str(error))
    page = render_page(
        boards,
        left_out=(*material.left_out, *unreadable),
        scalars=scalars,
        max_samples=max_samples,
        overlapping=overlapping,
    )
    _write(path, page)


def _write(path: epath.Path, page: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_file(path, page)
    except OSError as error:
        raise UserError(f"--html={path} cannot be written: {error.strerror or error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `jaxllm report` and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="jaxllm report",
        description="Compare results: a table with confidence intervals, and an HTML page.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="*", metavar="DIR", help="results, or a .yaml file of model cards"
    )
    parser.add_argument(
        "--html",
        metavar="OUT",
        help="write one HTML file that needs no network: of all results, a --view or --compare",
    )
    parser.add_argument(
        "--site", metavar="OUT", help="write a folder of static pages with every sample"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--all_steps", action="store_true", help="a row for every training step")
    parser.add_argument(
        "--max_samples",
        type=int,
        default=DEFAULT_LIMIT,
        metavar="N",
        help="samples a task that the page carries (default %(default)s)",
    )
    parser.add_argument(
        "--without_overlap",
        metavar="DIR",
        help="a folder of `jaxllm data overlap`: add each run's scores without those samples",
    )
    parser.add_argument(
        "--view",
        choices=sorted(VIEWS),
        help="show this in place of the table of runs",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("BASE", "TUNED"),
        help="what changed from one model to the other, on the same samples",
    )
    parser.add_argument(
        "--sql", metavar="QUESTION", help="ask SQLite: tables runs, scores, samples, left_out"
    )
    parser.add_argument(
        "--store",
        metavar="FILE",
        help="the SQLite file: written of the results, or without any read as it is",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="with --view, --compare or --sql, also write it: .csv, .parquet, .json or .md",
    )
    parser.add_argument(
        "--sort", default="", metavar="COLUMN", help="leaderboard: by this column, or by model"
    )
    parser.add_argument(
        "--above_chance", action="store_true", help="leaderboard: 0 is guessing among the answers"
    )
    parser.add_argument(
        "--digits", type=int, default=3, metavar="N", help="digits behind the point (default 3)"
    )
    args = parser.parse_args(argv)
    if args.compare and args.folders:
        raise UserError("--compare BASE TUNED names both models; leave the other folders out")
    if not (args.folders or args.compare or args.store):
        raise UserError("name folders of results, or two with --compare BASE TUNED")
    shown = [name for name in ("view", "compare", "sql") if getattr(args, name)]
    if len(shown) > 1 or (args.store and shown in (["view"], ["compare"])):
        raise UserError("--view, --compare and --sql (with --store) are shown one at a time")
    if args.out and not (args.view or args.compare or args.sql):
        raise UserError("--out writes what --view, --compare or --sql shows; --html is the page")
    if args.html and (args.sql or args.store):
        raise UserError("--html is a page of results, of a --view or of --compare, not of --sql")
    if args.json and shown:
        raise UserError(f"--json tells all results; of --{shown[0]} --out=FILE.json writes it")
    if args.site and (args.sql or args.store or shown):
        raise UserError("--site is of all results; leave out --view, --compare, --sql and --store")
    if args.site:
        check_place(epath.Path(args.site))
    if args.json:
        summary = report(
            args.folders,
            html=args.html,
            site=args.site,
            max_samples=args.max_samples,
            without_overlap=args.without_overlap,
        )
        print(json.dumps(summary, ensure_ascii=False, indent=1))
        return 0
    overlapping = read_overlapping(args.without_overlap) if args.without_overlap else None
    if args.out:
        check_format(args.out)
    console = Console()
    if args.view or args.compare or args.sql or args.store:
        return _show_view(args, console)
    material, boards = _read(args.folders)
    for board in boards:
        table = score_table(board, all_steps=args.all_steps, overlapping=overlapping)
        console.print(render(table))
        console.print()
    for reason in material.left_out:
        print(f"left out: {reason}", file=sys.stderr)
    if args.html:
        _write_page(epath.Path(args.html), material, boards, args.max_samples, overlapping)
        print(f"wrote {args.html}")
    if args.site:
        written = write_site(material, epath.Path(args.site))
        print(
            f"wrote {args.site}: open index.html ({written.boards} boards, {written.models} models,"
            f" {written.samples:,} samples)"
        )
    return 0


def _show_view(args: argparse.Namespace, console: Console) -> int:
    options = ViewOptions(sort=args.sort, chance_corrected=args.above_chance, digits=args.digits)
    left_out: tuple[str, ...] = ()
    grids: list[Grid] = []
    if args.compare:
        effects, left_out = tuning_effect(*args.compare)
        grids = comparisons(effects, options)
    elif args.sql or args.store:
        if args.folders:
            material = read_material(args.folders)
            left_out = material.left_out
            store = build_store(material, args.store)
        else:
            store = open_store(args.store)
        with contextlib.closing(store):
            grids = [query(store, args.sql)] if args.sql else []
        if args.folders and args.store:
            print(f"wrote {args.store}")
    else:
        material = read_material(args.folders)
        grids, left_out = VIEWS[args.view](material, options), material.left_out
        if not grids:
            raise UserError(f"--view={args.view}: there is nothing to show in these results")
    for grid in grids:
        console.print(render_grid(grid))
        console.print()
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    if args.out:
        write_grids(args.out, grids)
        print(f"wrote {args.out}")
    if args.html:
        # Plotly is slow to import.
        from jaxllm.reporting.page.views import comparison_page, view_page

        if args.compare:
            page = comparison_page(effects, left_out=left_out, max_samples=args.max_samples)
        else:
            page = view_page(args.view, material, options, max_samples=args.max_samples)
        _write(epath.Path(args.html), page)
        print(f"wrote {args.html}")
    return 0


sys.modules[__name__].__class__ = Verb  # jaxllm.report(...) calls report(...)

if __name__ == "__main__":
    sys.exit(run_verb(main))
