"""`jaxllm data prepare` and `export`: corpora from their raw files, and files from corpora."""

from __future__ import annotations

import argparse
import dataclasses
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm import corpora, tasks
from jaxllm.errors import MissingData, UserError
from jaxllm.observe.steps import one_by_one

_WIDTH = 80
_UNIT = "data sets"
# Their files have another form than those of 1.1 to 1.4, and hold what is not known here.
_NO_EXPORT = ("llm-jp-eval/v1.0", "llm-jp-eval/v2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Prepared:
    """How it went: the corpora that stand, those that cannot be had, those whose raw file is bad.

    The latter two map each name to the reason.
    """

    made: tuple[str, ...]
    skipped: Mapping[str, str]
    refused: Mapping[str, str]


def write(args: argparse.Namespace, names: Sequence[str]) -> int:
    """The action of `jaxllm data prepare`: builds what can be had and says what cannot."""
    done = _prepare_all(names, args)
    _print_prepared(done, args.data_dir)
    return int(bool(done.refused or (done.skipped and not args.suite)))


def _prepare_all(names: Sequence[str], args: argparse.Namespace) -> _Prepared:
    made: list[str] = []
    skipped: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name, progress in one_by_one("preparing", names, unit=_UNIT):
        if name not in corpora.names():
            skipped[name] = "jaxllm has no reader for it"
            continue
        try:
            corpora.prepare(
                [name],
                data_dir=args.data_dir,
                raw_dir=args.raw_dir,
                accept_noncommercial=args.accept_noncommercial,
                progress=progress,
            )
        except MissingData as error:
            skipped[name] = str(error)
        except UserError as error:
            refused[name] = str(error)
        else:
            made.append(name)
    return _Prepared(made=tuple(made), skipped=skipped, refused=refused)


def _print_prepared(done: _Prepared, data_dir: str) -> None:
    partly = 0
    for name in done.made:
        about = corpora.info(name, data_dir)
        partly += bool(about["missing"])
        print_splits(name, about)
    for what, reasons in (("skipped", done.skipped), ("refused", done.refused)):
        for name, why in reasons.items():
            print(f"{name}: {what}")
            print(indented(why))
    print(
        f"\n{len(done.made)} here, {partly} of them without a split;"
        f" {len(done.skipped)} skipped, {len(done.refused)} refused"
    )


def print_splits(name: str, about: Mapping[str, Any]) -> None:
    """What a prepared corpus has, and why it lacks the rest."""
    counts = ", ".join(f"{split} {count:,}" for split, count in about["splits"].items())
    print(f"{name}: {counts} ({about['licence']})")
    for why in dict.fromkeys(about["missing"].values()):
        splits = [split for split, reason in about["missing"].items() if reason == why]
        print(indented(f"without {', '.join(splits)}: {why}"))


def indented(why: str) -> str:
    """A reason below what it is the reason of."""
    indent = " " * 4
    return textwrap.fill(
        why,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def export(args: argparse.Namespace) -> int:
    """The action of `jaxllm data export`: prepares a suite's corpora and writes their files."""
    if args.suite.startswith(_NO_EXPORT):
        raise UserError(
            f"{args.suite} has files of another form than llm-jp-eval 1.1 to 1.4:"
            " export llm-jp-eval/v1.3.1 or llm-jp-eval/v1.4.1"
        )
    members = {task.name.partition(":")[2]: task for task in tasks.get_suite(args.suite).tasks}
    done = _prepare_all(list(dict.fromkeys(task.corpus for task in members.values())), args)
    written = {name: task for name, task in members.items() if task.corpus in done.made}
    for name, _ in one_by_one("writing", list(written), unit=_UNIT):
        task = written[name]
        corpora.export(
            task.corpus,
            os.path.expanduser(args.out),
            data_dir=args.data_dir,
            file_name=name,
            output_length=task.max_new_tokens,
        )
    _print_prepared(done, args.data_dir)
    for name, task in written.items():
        if task.unverified:
            print(f"{name} is unverified:\n{indented(task.unverified)}")
    print(f"wrote {len(written)} of {len(members)} data sets of {args.suite} to {args.out}")
    return int(bool(done.refused))
