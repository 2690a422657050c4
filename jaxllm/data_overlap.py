"""`jaxllm data overlap`: evaluation samples in tuning data, as tables, pairs and files."""

from __future__ import annotations

import argparse
import statistics
import sys
import textwrap
from collections.abc import Sequence

import rich.box
from etils import epath
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxllm.contamination.evaluation_sets import load_sets
from jaxllm.contamination.limits import CHARACTER_N, WORD_N
from jaxllm.contamination.passages import Passage
from jaxllm.contamination.result import Overlap, Pair, SampleOverlap, SetOverlap, write_overlap
from jaxllm.contamination.scan import find_overlap
from jaxllm.errors import UserError
from jaxllm.input.sources import read_source
from jaxllm.observe.progress import Progress

_WIDTH = 80
_LEGEND = """\
samples that share an n-gram of words, of characters, or are near-duplicates;
held: least/median/most of their n-grams that stand in the source, in %"""


def write(args: argparse.Namespace) -> int:
    """The action of `jaxllm data overlap`: compares, writes the folder and shows what is in it."""
    if args.pairs < 0:
        raise UserError(f"--pairs={args.pairs}: give 0 or more")
    sources = [
        read_source(spec, split=args.source_split, data_dir=args.data_dir) for spec in args.sources
    ]
    sets, missing = load_sets(args.against, split=args.split, data_dir=args.data_dir)
    folder = _made(args.out)
    counts = [source.contents.num_records for source in sources]
    total = None if None in counts else sum(filter(None, counts))
    with Progress("comparing", total=total, unit="examples") as bar:
        overlap = find_overlap(
            sources,
            sets,
            split=args.split,
            missing=missing,
            num_pairs=args.pairs,
            progress=bar.update,
        )
    write_overlap(folder, overlap)
    console = Console()
    for source, count in overlap.sources.items():
        _print_source(console, overlap, source, count)
    if overlap.samples:
        print(_LEGEND)
    without = [found.name for found in overlap.sets if not overlap.samples_of(found.name)]
    if without:
        names = f"no overlap: {', '.join(without)}"
        print(textwrap.fill(names, _WIDTH, break_long_words=False, break_on_hyphens=False))
    print()
    for found in overlap.sets:
        for pair in found.worst:
            _print_pair(console, found, pair)
    if missing:
        print(f"not compared, no {args.split} split here: {', '.join(missing)}", file=sys.stderr)
    overlapping = len({(sample.set, sample.id) for sample in overlap.samples})
    compared = sum(found.num_samples for found in overlap.sets)
    print(
        f"{overlapping:,} of {compared:,} samples in {len(overlap.sets)} sets overlap with"
        f" {sum(overlap.sources.values()):,} examples; wrote {args.out}"
    )
    return 0


def _made(out: str) -> epath.Path:
    """The folder to write to, made before the work begins: it may take long."""
    folder = epath.Path(out).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={out} cannot be made: {error}") from error
    return folder


def _print_source(console: Console, overlap: Overlap, source: str, count: int) -> None:
    print(f"{source} · {count:,} examples")
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("set", overflow="fold")
    for name in ("samples", "overlap", f"{WORD_N} words", f"{CHARACTER_N} chars", "near", "held"):
        table.add_column(name, justify="right")
    for found in overlap.sets:
        if samples := overlap.samples_of(found.name, source):
            table.add_row(*_row(found, samples))
    if table.row_count:
        console.print(table)
    else:
        print("shares nothing with any set\n")


def _row(found: SetOverlap, samples: Sequence[SampleOverlap]) -> list[str]:
    held = [round(100 * max(sample.words, sample.characters)) for sample in samples]
    return [
        found.name,
        f"{found.num_samples:,}",
        f"{len(samples):,}",
        f"{sum(sample.words > 0 for sample in samples):,}",
        f"{sum(sample.characters > 0 for sample in samples):,}",
        f"{sum(sample.similarity > 0 for sample in samples):,}",
        f"{min(held)}/{statistics.median_high(held)}/{max(held)}",
    ]


def _print_pair(console: Console, found: SetOverlap, pair: Pair) -> None:
    print(f"{pair.id} and {pair.example} of {pair.source}")
    print(f"{pair.words:.0%} of its n-grams of words, {pair.characters:.0%} of characters,", end="")
    print(f" similarity {pair.similarity:.2f}")
    table = Table(box=rich.box.SIMPLE, pad_edge=False, expand=True)
    for name in (f"evaluated: {found.name}", "trained on"):
        table.add_column(Text(name), ratio=1, overflow="fold")
    table.add_row(_text(pair.evaluated), _text(pair.trained))
    console.print(table)


def _text(passage: Passage) -> Text:
    return Text.assemble(passage.before, (passage.shared, "bold reverse"), passage.after)
