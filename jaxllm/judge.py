"""Have answers judged: a model's, or ones that were made elsewhere.

    jaxllm judge --config=configs/judge/benchmark.py:mt_bench_ja --model=runs/mine --workdir=D
    jaxllm judge --config=... --answers=model_answer/mine.jsonl --workdir=D
    jaxllm judge --config=... --judgments=model_judgment/gpt-4_single.jsonl --workdir=D
    jaxllm judge --config=... --answers=base=A --answers=tuned=B --pairwise --workdir=D
    jaxllm judge --config=... --answers=A --judgments=J --ratings=people.jsonl --audit --workdir=D

The entries of `config.evals` with `type="judge"` say which benchmarks, and who judges. Answers and
judgments may be FastChat's files, llm-jp-judge's folders, or those of a result folder of ours.
Every call is in a journal: the same command again goes on where a kill left it and pays for nothing
twice.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict
from rich.console import Console

from jaxllm.chat.endpoint import CAPPED
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, save_config
from jaxllm.errors import UserError
from jaxllm.evaluate import evaluate, is_at_endpoint
from jaxllm.evaluators.schedule import evaluator_settings, result_folder, set_everywhere
from jaxllm.judge_audit import audit
from jaxllm.judge_files import LLM_JP_JUDGE, FileJudging
from jaxllm.judge_pairwise import compare
from jaxllm.judging.audit_table import audit_table
from jaxllm.judging.pairwise_table import pairwise_table
from jaxllm.judging.table import judged_table
from jaxllm.overrides import apply_overrides
from jaxllm.parallel.startup import add_process_flags, check_alone
from jaxllm.reporting.results import find_results
from jaxllm.verb import Verb, run_verb

_JUDGE_FLAG = "--judge."

Summaries = dict[str, dict[str, dict[str, float]]]


def judge(
    config: ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    answers: Sequence[str | os.PathLike[str]] = (),
    judgments: str | os.PathLike[str] | None = None,
    also: Sequence[str] = (),
) -> Summaries:
    """Judges the answers of a model, or those in files, and writes the results under `workdir`.

    Args:
        model: as in `jaxllm.evaluate`.
        answers: files or folders of answers, `[NAME=]PATH`; each model in them gets a result of its
            own.
        judgments: what a judge said of them already. With `answers` those of the same judge are not
            asked for again; alone they are summed up, and no judge is asked.
        also: "llm-jp-judge" writes its files beside every result.

    Returns:
        The headline numbers, by model and name of the evaluator.

    Raises:
        UserError: no evaluator of type "judge", files of another kind, or what the judge raises.
    """
    entries = _entries(config)
    for shape in also:
        if shape != LLM_JP_JUDGE:
            raise UserError(f"also={shape!r}: there is {LLM_JP_JUDGE}")
    run = FileJudging(config=config, workdir=epath.Path(workdir), write_also=bool(also))
    if not answers and judgments is None:
        summaries = evaluate(config, model, workdir)
        for name, (_, settings) in entries.items():
            run.write_files(settings, result_folder(run.workdir, name, None))
        return {config.model.model if model is None else os.fspath(model): summaries}
    if model is not None or is_at_endpoint(config):
        raise UserError("answers from files are no model's to give: leave the model out")
    run.workdir.mkdir(parents=True, exist_ok=True)
    save_config(config, run.workdir / CONFIG_FILE)
    found: Summaries = {}
    for name, (_, settings) in entries.items():
        if answers:
            by_model = run.judge_answers(name, settings, answers, judgments)
        else:
            by_model = run.sum_up(name, settings, os.fspath(judgments or ""))
        for label, summary in by_model.items():
            found.setdefault(label, {})[name] = summary
    return found


def _entries(config: ConfigDict) -> dict[str, Any]:
    entries = evaluator_settings(config.evals)
    if not entries or any(kind != "judge" for kind, _ in entries.values()):
        raise UserError("config.evals must name evaluators of type 'judge', and no others")
    return entries


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm judge`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm judge",
        description="Have a judge read what a model answers, or what stands in files.",
        epilog="example: jaxllm judge --config=configs/judge/benchmark.py:mt_bench_ja "
        "--model=runs/mine --workdir=runs/judged "
        "--judge.model=gpt-4o-2024-08-06. Killed, the same command goes on where it was.",
    )
    add_config_flags(parser)
    parser.add_argument(
        "--judge.FIELD",
        metavar="VALUE",
        help="a field of every judge: --judge.type=local --judge.model=runs/judge",
    )
    parser.add_argument("--model", help="the model that answers; as in `jaxllm evaluate`")
    parser.add_argument(
        "--answers",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
        help="answers made elsewhere: FastChat's or llm-jp-judge's; may be given several times",
    )
    parser.add_argument(
        "--judgments",
        action="append",
        default=[],
        metavar="PATH",
        help="judgments made already: with --answers they are not asked for again, alone they are "
        "summed up; an audit takes several",
    )
    parser.add_argument(
        "--pairwise",
        action="store_true",
        help="compare every two models' answers, in both orders, in place of rating them",
    )
    parser.add_argument(
        "--baseline", default="", metavar="NAME", help="pairwise: only pairs with this model"
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="measure the judge: does it repeat itself, what do length and place decide, does it "
        "agree with other judges and with people",
    )
    parser.add_argument(
        "--ratings", metavar="FILE", help="audit: what people gave (jaxllm annotate export)"
    )
    parser.add_argument("--workdir", required=True, help="where the results go")
    parser.add_argument("--max_samples", type=int, help="ask so many questions; -1: all")
    parser.add_argument("--preset", help="run the benchmarks as this tool does; see presets.py")
    parser.add_argument("--raw_dir", help="where data lies that was downloaded by hand")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        choices=(LLM_JP_JUDGE,),
        help="write every result in the files of this tool too",
    )
    add_process_flags(parser)
    args, unknown = parser.parse_known_args(argv)
    check_alone(args, "a judge reads answers")
    changes, others = _judge_changes(unknown)
    config = config_from_args(args, others)
    judged = [name for name in config.evals if config.evals[name].get("type") == "judge"]
    apply_overrides(
        config, [f"evals.{name}.judge.{change}" for name in judged for change in changes]
    )
    given = {name: getattr(args, name) for name in ("max_samples", "preset", "raw_dir")}
    set_everywhere(
        config.evals, **{name: value for name, value in given.items() if value is not None}
    )
    console = Console()
    if args.pairwise or args.audit:
        return _in_files(config, args, console)
    if args.ratings is not None or args.baseline:
        raise UserError("--ratings is for --audit, and --baseline for --pairwise")
    judge(
        config,
        args.workdir,
        model=args.model,
        answers=args.answers,
        judgments=_one(args.judgments),
        also=args.also,
    )
    found = find_results([args.workdir]).results
    results = [result for result in found if "judge" in result.record]
    for result in results:
        console.print(judged_table(result))
    return _status(reason for result in results for reason in result.record["judge"]["reasons"])


def _in_files(config: ConfigDict, args: argparse.Namespace, console: Console) -> int:
    """Comparisons or an audit, which are of answers in files."""
    _entries(config)
    if args.model is not None or args.also or is_at_endpoint(config):
        raise UserError("--pairwise and --audit are of files: leave --model and --also out")
    if args.pairwise and args.audit:
        raise UserError("--pairwise and --audit are two commands: give one of them")
    if args.audit:
        records = audit(
            config,
            args.workdir,
            answers=args.answers,
            judgments=args.judgments,
            ratings=args.ratings,
        )
    else:
        records = compare(
            config,
            args.workdir,
            answers=args.answers,
            judgments=_one(args.judgments),
            baseline=args.baseline,
        )
    for record in records:
        console.print(audit_table(record) if args.audit else pairwise_table(record))
    return _status(reason for record in records for reason in record["reasons"])


def _one(paths: Sequence[str]) -> str | None:
    if len(paths) > 1:
        raise UserError("several --judgments are for --audit alone")
    return paths[0] if paths else None


def _status(reasons: Iterable[str]) -> int:
    """The exit status: 1 where a cap kept calls from being made."""
    if CAPPED not in reasons:
        return 0
    print("raise the cap and give the same command again to go on", file=sys.stderr)
    return 1


def _judge_changes(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The changes (`field=value`) that flags `--judge.field=value` make, and the other flags."""
    changes, others, rest = [], [], list(flags)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith(_JUDGE_FLAG):
            others.append(flag)
        elif "=" in flag or not rest:
            changes.append(flag.removeprefix(_JUDGE_FLAG))
        else:
            changes.append(f"{flag.removeprefix(_JUDGE_FLAG)}={rest.pop(0)}")
    return changes, others


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
