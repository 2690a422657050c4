"""The corpora: build them, look at them.

jaxllm data list
jaxllm data prepare --raw_dir=DIR jcommonsenseqa mawps
jaxllm data show mini/nli --split=dev --rows=3
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence

from jaxllm import corpora
from jaxllm.observe.progress import Progress
from jaxllm.paths import resolve_data_dir
from jaxllm.verb import run_verb


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm data`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm data",
        description="Build the corpora and look at them.",
        epilog="example: jaxllm data prepare --raw_dir=downloads jcommonsenseqa mawps",
    )
    parser.add_argument(
        "--data_dir", default="", help="prepared corpora (default: JAXLLM_DATA_DIR or the cache)"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the names of all corpora")
    prepare = actions.add_parser("prepare", help="build corpora from their raw files")
    prepare.add_argument("names", nargs="+", metavar="NAME")
    prepare.add_argument(
        "--raw_dir",
        default=os.environ.get("JAXLLM_RAW_DIR"),
        help="where raw files are looked for before they are downloaded (or JAXLLM_RAW_DIR)",
    )
    show = actions.add_parser("show", help="splits, digests and first rows")
    show.add_argument("names", nargs="+", metavar="NAME")
    show.add_argument("--split", default="test")
    show.add_argument("--rows", type=int, default=2)
    args = parser.parse_args(argv)
    data_dir = resolve_data_dir(args.data_dir)
    if args.action == "list":
        print("\n".join(corpora.names()))
    elif args.action == "prepare":
        _prepare(args.names, data_dir, args.raw_dir)
    else:
        for name in args.names:
            _show(name, data_dir, args.split, args.rows)
    return 0


def _prepare(names: Sequence[str], data_dir: str, raw_dir: str | None) -> None:
    for name in names:
        with Progress(f"preparing {name}", total=None, unit="rows") as bar:
            advance = functools.partial(_advance, bar, {})
            corpora.prepare([name], data_dir=data_dir, raw_dir=raw_dir, progress=advance)
        _describe(name, data_dir)


def _advance(
    bar: Progress, done: dict[str, int], what: str, so_far: int, total: int | None
) -> None:
    del total  # a corpus is several files, and their totals are not known together
    bar.update(so_far - done.get(what, 0), now=what)
    done[what] = so_far


def _describe(name: str, data_dir: str) -> None:
    about = corpora.info(name, data_dir)
    counts = ", ".join(f"{split} {count:,}" for split, count in about["splits"].items())
    print(f"{name}: {counts} ({about['licence']})")


def _show(name: str, data_dir: str, split: str, rows: int) -> None:
    _describe(name, data_dir)
    for part, digest in corpora.info(name, data_dir)["sha256"].items():
        print(f"  {part:<6} sha256 {digest}")
    for row in corpora.load(name, split, data_dir=data_dir)[:rows]:
        print(f"\n--- {split} {row['id']}")
        for field in ("instruction", "input", "output"):
            print(f"{field}: {row[field]}")


if __name__ == "__main__":
    sys.exit(run_verb(main))
