"""`jaxllm data verify`: prepared corpora and the published ones, split by split."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Sequence

from jaxllm import corpora, tasks
from jaxllm.data_prepare import indented
from jaxllm.observe.steps import one_by_one


def write(args: argparse.Namespace, names: Sequence[str]) -> int:
    """The action of `jaxllm data verify`: a table or JSON; 1 where a split is wrong."""
    verdicts = [
        verdict
        for name, progress in one_by_one("verifying", names, unit="data sets")
        for verdict in corpora.verify(
            name,
            data_dir=args.data_dir,
            raw_dir=args.raw_dir,
            accept_noncommercial=args.accept_noncommercial,
            progress=progress,
        )
    ]
    if args.suite:
        about = {task.corpus: task.unverified for task in tasks.get_suite(args.suite).tasks}
        verdicts = [_of_suite(verdict, about[verdict.corpus]) for verdict in verdicts]
    if args.json:
        splits = [dataclasses.asdict(verdict) for verdict in verdicts]
        wrong = sum(verdict.is_wrong for verdict in verdicts)
        print(json.dumps({"splits": splits, "wrong": wrong}, ensure_ascii=False, indent=1))
    else:
        _print_verdicts(verdicts)
    return int(any(verdict.is_wrong for verdict in verdicts))


def _of_suite(verdict: corpora.Verdict, unverified: str) -> corpora.Verdict:
    """The verdict under a suite, whose own file of a verified corpus may be another one."""
    if not unverified or verdict.unverified or verdict.is_wrong:
        return verdict
    judgement = verdict.judgement if verdict.sha256 is None else "no published digest"
    return dataclasses.replace(
        verdict, judgement=judgement, expected=None, digest="", unverified=unverified
    )


def _print_verdicts(verdicts: Sequence[corpora.Verdict]) -> None:
    wide = max(len("dataset"), *(len(verdict.corpus) for verdict in verdicts))
    line = f"{{:<{wide}}} {{:<5}} {{:>6}} {{:<8}} {{:<8}} {{:<19}} {{}}"
    print(line.format("dataset", "split", "rows", "sha256", "expected", "verdict", "digest"))
    for verdict in verdicts:
        print(
            line.format(
                verdict.corpus,
                verdict.split,
                "" if verdict.rows is None else f"{verdict.rows:,}",
                (verdict.sha256 or "")[:8],
                (verdict.expected or "")[:8],
                _judgement(verdict),
                verdict.digest,
            ).rstrip()
        )
    reasons: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict.why:
            reasons.setdefault((verdict.corpus, verdict.why), []).append(verdict.split)
    for (name, why), splits in reasons.items():
        print(f"\n{name} {', '.join(splits)}:\n{indented(why)}")
    for name, why in {v.corpus: v.unverified for v in verdicts if v.unverified}.items():
        print(f"\n{name} is unverified:\n{indented(why)}")
    counts = Counter(map(_judgement, verdicts))
    print("\n" + ", ".join(f"{count} {judgement}" for judgement, count in counts.items()))


def _judgement(verdict: corpora.Verdict) -> str:
    unsure = verdict.judgement == "differs" and not verdict.is_wrong
    return verdict.judgement + (", unverified" if unsure else "")
