"""`jaxllm data`: build the corpora, look at them, compare them with the published ones."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm import corpora, data_prepare, data_verify, tasks
from jaxllm.errors import UserError
from jaxllm.paths import resolve_data_dir
from jaxllm.verb import run_verb

_EXAMPLES = """\
examples:
  jaxllm data list
  jaxllm data prepare --raw_dir=downloads jcommonsenseqa mawps
  jaxllm data prepare --suite=llm-jp-eval/v1.3.1
  jaxllm data verify --suite=llm-jp-eval/v1.3.1
  jaxllm data export --suite=llm-jp-eval/v1.3.1 --out=DIR
  jaxllm data show mini/nli --split=dev --rows=3
  jaxllm data overlap jsonl:mine.jsonl jnli --against=llm-jp-eval/v1.3.1 --out=DIR
  jaxllm data requests random --vocab_size=16384 --out=random.jsonl
  jaxllm data requests suite --suite=mini/v1 --tokenizer=DIR --out=mini.jsonl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm data`."""
    args = _parser().parse_args(argv)
    args.data_dir = resolve_data_dir(os.path.expanduser(args.data_dir))
    return args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxllm data",
        description="Build the corpora, look at them, compare them with the published ones.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(
        name: str, run: Any, help: str, *, to: Any = actions, raw: bool = True
    ) -> argparse.ArgumentParser:
        added = to.add_parser(name, help=help, description=help.capitalize() + ".")
        added.set_defaults(run=run)
        added.add_argument(
            "--data_dir",
            default="",
            metavar="DIR",
            help="prepared corpora (default: JAXLLM_DATA_DIR or the cache)",
        )
        if raw:
            added.add_argument(
                "--raw_dir",
                metavar="DIR",
                help="where raw files are looked for before they are downloaded"
                " (default: JAXLLM_RAW_DIR)",
            )
        return added

    def selection(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "names", nargs="*", metavar="NAME", help="corpora, as `jaxllm data list` shows them"
        )
        added.add_argument("--suite", metavar="SUITE", help="all corpora of a suite")
        licence(added)

    def licence(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--accept_noncommercial",
            action="store_true",
            help="take corpora whose licence allows no commercial use: yours is none",
        )

    action("list", _list, "the corpora, and which are here")
    prepare = action("prepare", _prepare, "build corpora from their raw files")
    selection(prepare)
    verify = action("verify", _verify, "compare corpora with the published ones, by sha256")
    selection(verify)
    verify.add_argument("--json", action="store_true", help="print one JSON object, no table")
    export = action("export", _export, "write a suite's corpora as files for another tool")
    export.add_argument("--suite", required=True, metavar="SUITE")
    export.add_argument("--format", choices=("llm-jp-eval",), default="llm-jp-eval")
    export.add_argument("--out", required=True, metavar="DIR", help="the folder to write to")
    licence(export)
    show = action("show", _show, "splits, digests and first rows", raw=False)
    show.add_argument("names", nargs="+", metavar="NAME")
    show.add_argument("--split", default="", help="default: test, or the first there is")
    show.add_argument("--rows", type=int, default=2)
    overlap = action("overlap", _overlap, "evaluation samples that tuning data holds", raw=False)
    overlap.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="jsonl:PATH, parquet:PATH or a corpus"
    )
    overlap.add_argument("--source_split", default="train", help="of the sources (default: train)")
    overlap.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="SET",
        help="a suite, a task or jsonl:PATH; may be given again (default: every suite)",
    )
    overlap.add_argument("--split", default="test", help="of the sets (default: test)")
    overlap.add_argument("--pairs", type=int, default=1, help="worst pairs of each set to show")
    overlap.add_argument("--out", required=True, metavar="DIR", help="the folder to write to")
    about = "token ids and fixed budgets, the same for every program that is measured"
    kinds = actions.add_parser("requests", help=about, description=about.capitalize() + ".")
    kinds = kinds.add_subparsers(required=True, metavar="KIND", dest="kind")
    _add_random(kinds.add_parser("random", help="prompts of random ids"))
    suite = action("suite", _requests, "a suite's prompts, answers as long as the gold", to=kinds)
    suite.add_argument("--suite", required=True, metavar="SUITE")
    suite.add_argument("--tokenizer", required=True, metavar="PATH", help="its file or folder")
    suite.add_argument("--split", default="test")
    suite.add_argument("--num_shots", type=int, default=-1, help="default: as each task says")
    suite.add_argument("--max_samples", type=int, default=100, help="of each task; -1: all")
    suite.add_argument("--out", required=True, metavar="FILE", help="JSONL to write")
    licence(suite)
    return parser


def _add_random(added: argparse.ArgumentParser) -> None:
    added.set_defaults(run=_requests, data_dir="")
    added.add_argument("--vocab_size", type=int, required=True)
    added.add_argument("--num_requests", type=int, default=512, help="default: 512")
    for name, default in (("prompt_tokens", "40:400"), ("output_tokens", "1:60")):
        added.add_argument(
            f"--{name}",
            type=_range,
            default=default,
            metavar="MIN:MAX",
            help=f"of a request, evenly drawn (default: {default})",
        )
    added.add_argument("--seed", type=int, default=0)
    added.add_argument("--out", required=True, metavar="FILE", help="JSONL to write")


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    try:
        return int(low), int(high)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no MIN:MAX, such as 40:400") from None


def _list(args: argparse.Namespace) -> int:
    lines = [("NAME", "ROWS", "LICENCE", "STATE")]
    lines += [_state(name, args.data_dir, args.raw_dir) for name in corpora.names()]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for name, rows, licence, state in lines:
        print(f"{name:<{widths[0]}} {rows:>{widths[1]}} {licence[:24]:<24} {state}")
    print("\nby hand: `jaxllm data prepare NAME` says where to get it and where to put it")
    return 0


def _state(name: str, data_dir: str, raw_dir: str | None) -> tuple[str, str, str, str]:
    corpus = corpora.get(name)
    if corpora.is_prepared(name, data_dir):
        about = corpora.info(name, data_dir)
        without = f" without {', '.join(about['missing'])}" if about["missing"] else ""
        return name, f"{sum(about['splits'].values()):,}", corpus.licence, f"prepared{without}"
    absent = corpora.absent_files(name, data_dir=data_dir, raw_dir=raw_dir)
    if not corpus.files:
        state = "made when asked for"
    elif not absent:
        state = "raw files here"
    elif all(file.url for file in absent):
        state = "to download"
    else:
        state = "by hand"
    return name, "", corpus.licence, state + (", non-commercial" if corpus.noncommercial else "")


def _show(args: argparse.Namespace) -> int:
    for name in args.names:
        about = corpora.info(name, args.data_dir)
        data_prepare.print_splits(name, about)
        print(data_prepare.indented(f"source: {about['source']}"))
        for part, digest in about["sha256"].items():
            print(f"  {part:<6} sha256 {digest}")
        split = args.split or ("test" if "test" in about["splits"] else next(iter(about["splits"])))
        for row in corpora.load(name, split, data_dir=args.data_dir)[: args.rows]:
            print(f"\n--- {split} {row['id']}")
            for speaker, text in _parts(row):
                print(f"{speaker}: {text}")
    return 0


def _parts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a row is made of, with a name for each part; parts that are empty are left out."""
    if "messages" in row:
        return [(turn["role"], turn["content"]) for turn in row["messages"]]
    parts = [(field, text) for field, text in row.items() if field not in ("index", "id")]
    return [(field, text) for field, text in parts if text]


def _prepare(args: argparse.Namespace) -> int:
    return data_prepare.write(args, _selected(args))


def _export(args: argparse.Namespace) -> int:
    return data_prepare.export(args)


def _verify(args: argparse.Namespace) -> int:
    return data_verify.write(args, _selected(args) if args.names or args.suite else corpora.names())


def _overlap(args: argparse.Namespace) -> int:
    from jaxllm import data_overlap  # MinHash brings SciPy

    return data_overlap.write(args)


def _requests(args: argparse.Namespace) -> int:
    from jaxllm import data_requests  # it brings JAX, which the other actions do without

    return data_requests.write(args)


def _selected(args: argparse.Namespace) -> list[str]:
    """The corpora that were named or that the suite asks, each once and known."""
    if bool(args.names) == bool(args.suite):
        raise UserError("name corpora, as `jaxllm data list` shows them, or give --suite=SUITE")
    if args.suite:
        return list(dict.fromkeys(task.corpus for task in tasks.get_suite(args.suite).tasks))
    for name in args.names:
        corpora.get(name)
    return list(dict.fromkeys(args.names))


if __name__ == "__main__":
    sys.exit(run_verb(main))
