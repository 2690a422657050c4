"""`jaxllm annotate`: people rate answers, or choose between two, without knowing whose they are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxllm.annotation.answers import Answers, read_answers, read_questions
from jaxllm.annotation.export import export_records, read_export, write_export
from jaxllm.annotation.scales import AXES, DEFAULT_AXES, VALUES
from jaxllm.annotation.study import Settings, Study, create_study
from jaxllm.annotation.summary import summarise
from jaxllm.annotation.table import render
from jaxllm.errors import UserError
from jaxllm.verb import run_verb

_EXAMPLES = """\
QUESTIONS is a JSONL file of `jaxllm generate` requests ({"id", "prompt"} or {"id", "messages"}) or
of FastChat questions; ANSWERS one that `jaxllm generate` wrote, or FastChat's model answers.

examples:
  jaxllm annotate new runs/people --questions=in.jsonl --answers=base=b.jsonl --answers=sft=s.jsonl
  jaxllm annotate code runs/people aiko ben       # a login code for each
  jaxllm annotate serve runs/people               # http://127.0.0.1:8765
  jaxllm annotate summary runs/people
  jaxllm annotate export runs/people --out=ratings.csv
"""
_PORT = 8765
_HOST = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm annotate`."""
    args = _parser().parse_args(argv)
    return args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxllm annotate",
        description="Let people rate answers, or choose between two, in a local web app.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, run: Any, help: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=help, description=help.capitalize() + ".")
        added.set_defaults(run=run)
        return added

    new = action("new", _new, "make a study from questions and models' answers")
    new.add_argument("study", metavar="STUDY", help="the folder to make")
    new.add_argument("--questions", required=True, metavar="FILE")
    new.add_argument(
        "--answers",
        action="append",
        required=True,
        metavar="[NAME=]FILE",
        help="one model's answers; give it once for each model",
    )
    new.add_argument("--kind", choices=tuple(VALUES), default="rating", help="default: rating")
    new.add_argument(
        "--axes",
        help=f"what is rated, by commas, of {', '.join(AXES)}"
        " (default: all; overall in a pairwise study)",
    )
    new.add_argument("--baseline", default="", metavar="NAME", help="pairwise: only pairs with it")
    new.add_argument(
        "--references", metavar="FILE", help="answers that annotators may unfold and look at"
    )
    new.add_argument("--title", default="", help="what annotators see above the page")
    new.add_argument("--instructions", metavar="FILE", help="text to stand above the built-in ones")
    new.add_argument("--seed", type=int, default=0, help="of the annotators' orders")
    code = action("code", _code, "make login codes; a name that has one gets another")
    code.add_argument("study", metavar="STUDY")
    code.add_argument("names", nargs="+", metavar="NAME")
    serve = action("serve", _serve, "run the web app until Ctrl-C")
    serve.add_argument("study", metavar="STUDY")
    serve.add_argument("--host", default=_HOST, help=f"default: {_HOST}")
    serve.add_argument("--port", type=int, default=_PORT, help=f"default: {_PORT}; 0: any free one")
    serve.add_argument(
        "--public_name",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which annotators call it, when it is not --host",
    )
    export = action("export", _export, "write the ratings as .jsonl or .csv")
    export.add_argument("study", metavar="STUDY")
    export.add_argument("--out", required=True, metavar="FILE")
    summary = action("summary", _summary, "means or win rates with intervals, and agreement")
    summary.add_argument("ratings", metavar="STUDY|EXPORT.jsonl")
    summary.add_argument("--json", action="store_true", help="print one JSON object, no table")
    return parser


def _new(args: argparse.Namespace) -> int:
    questions = read_questions(args.questions)
    answers = [_answers(named) for named in args.answers]
    settings = Settings(
        kind=args.kind,
        axes=tuple(args.axes.split(",")) if args.axes else DEFAULT_AXES[args.kind],
        title=args.title,
        instructions=_text(args.instructions) if args.instructions else "",
        baseline=args.baseline,
        seed=args.seed,
    )
    references = read_answers(args.references).turns if args.references else {}
    create_study(args.study, settings, questions, answers, references=references)
    for given in answers:
        remarks = [f"{len(given.turns)} of {len(questions)} questions answered"]
        if given.num_left_out:
            remarks.append(f"{given.num_left_out} further samples left out")
        print(f"{given.model}: {'; '.join(remarks)}")
    print(f"made {args.study}; next: jaxllm annotate code {args.study} NAME ...")
    return 0


def _answers(named: str) -> Answers:
    """`FILE` or `NAME=FILE`, where a file whose own name has an `=` is one all the same."""
    name, equals, path = named.partition("=")
    if not equals or Path(named).is_file():
        return read_answers(named)
    return read_answers(path, model=name)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _code(args: argparse.Namespace) -> int:
    study = Study(args.study)
    codes = {name: study.add_annotator(name) for name in args.names}
    width = max(map(len, codes))
    for name, code in codes.items():
        print(f"{name:<{width}}  {code}")
    print("\nnote them now: the study keeps only their hashes")
    return 0


def _serve(args: argparse.Namespace) -> int:
    try:
        from jaxllm.annotation.serving import serve
    except ModuleNotFoundError as error:
        raise UserError(f"no {error.name} here: pip install 'jaxllm[annotate]'") from error
    serve(Study(args.study), args.host, args.port, public_names=args.public_name)
    return 0


def _export(args: argparse.Namespace) -> int:
    records = export_records(Study(args.study))
    write_export(args.out, records)
    print(f"{len(records)} rated tasks in {args.out}")
    return 0


def _summary(args: argparse.Namespace) -> int:
    path = Path(args.ratings)
    records = read_export(path) if path.is_file() else export_records(Study(path))
    summary = summarise(records)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False, indent=1))
    else:
        Console(highlight=False).print(render(summary))
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
