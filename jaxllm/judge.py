"""Have answers judged: a model's, or ones that were made elsewhere.

    jaxllm judge --config=configs/judge/benchmark.py:mt_bench_ja --model=runs/mine --workdir=D
    jaxllm judge --config=... --answers=model_answer/mine.jsonl --workdir=D
    jaxllm judge --config=... --judgments=model_judgment/gpt-4_single.jsonl --workdir=D

The entries of `config.evals` with `type="judge"` say which benchmarks, and who judges. Answers and
judgments may be FastChat's files, llm-jp-judge's folders, or those of a result folder of ours.
Every call is in a journal: the same command again goes on where a kill left it and pays for nothing
twice.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict
from rich.console import Console

from jaxllm.chat import CallJournal
from jaxllm.chat.endpoint import CAPPED
from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.evaluate import evaluate, is_at_endpoint
from jaxllm.evaluators.judge import JOURNAL, Jury
from jaxllm.evaluators.judge_settings import JudgeSettings
from jaxllm.evaluators.schedule import (
    evaluator_settings,
    result_folder,
    set_everywhere,
)
from jaxllm.judging import fastchat_files, llm_jp_judge_answers, llm_jp_judge_tables
from jaxllm.judging.files import ANSWERS, read_answers, read_judgments
from jaxllm.judging.record import Judged, write_judged
from jaxllm.judging.table import judged_table
from jaxllm.overrides import apply_overrides
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.paths import resolve_data_dir
from jaxllm.reporting.results import find_results
from jaxllm.verb import Verb, run_verb

_LLM_JP_JUDGE = "llm-jp-judge"
_JUDGE_FLAG = "--judge."

Summaries = dict[str, dict[str, dict[str, float]]]


def judge(
    config: ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    answers: str | os.PathLike[str] | None = None,
    judgments: str | os.PathLike[str] | None = None,
    also: Sequence[str] = (),
) -> Summaries:
    """Judges the answers of a model, or those in files, and writes the results under `workdir`.

    Args:
        model: as in `jaxllm.evaluate`.
        answers: a file or a folder of answers; each model in it gets a result of its own.
        judgments: what a judge said of them already. With `answers` those of the same judge are not
            asked for again; alone they are summed up, and no judge is asked.
        also: "llm-jp-judge" writes its files beside every result.

    Returns:
        The headline numbers, by model and name of the evaluator.

    Raises:
        UserError: no evaluator of type "judge", files of another kind, or what the judge raises.
    """
    entries = evaluator_settings(config.evals)
    if not entries or any(kind != "judge" for kind, _ in entries.values()):
        raise UserError("config.evals must name evaluators of type 'judge', and no others")
    for shape in also:
        if shape != _LLM_JP_JUDGE:
            raise UserError(f"also={shape!r}: there is {_LLM_JP_JUDGE}")
    run = _Run(config=config, workdir=epath.Path(workdir), write_also=bool(also))
    if answers is None and judgments is None:
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
        if answers is not None:
            by_model = run.judge_answers(name, settings, answers, judgments)
        else:
            by_model = run.sum_up(name, settings, os.fspath(judgments or ""))
        for label, summary in by_model.items():
            found.setdefault(label, {})[name] = summary
    return found


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """Where results go and what stands in them."""

    config: ConfigDict
    workdir: epath.Path
    write_also: bool

    def judge_answers(
        self,
        name: str,
        settings: JudgeSettings,
        answers: str | os.PathLike[str],
        judgments: str | os.PathLike[str] | None,
    ) -> dict[str, dict[str, float]]:
        """Has each model's answers judged; returns the headline numbers by model."""
        enable_compilation_cache()  # a local judge compiles
        jury = Jury(
            settings,
            data_dir=resolve_data_dir(self.config.data_dir),
            mesh=make_mesh(MeshShape(**self.config.mesh)),
        )
        read = read_answers(answers, jury.benchmark)
        known = {} if judgments is None else read_judgments(judgments, jury.benchmark)
        ids = {question.id for question in jury.questions}
        summaries = {}
        for model, (source, given) in read.items():
            asked = [answer for answer in given if answer.question in ids]
            if not asked:
                raise UserError(f"{source} answers none of the questions of {jury.benchmark.name}")
            folder = self._folder(name, model, alone=len(read) == 1)
            with CallJournal(folder.parent / JOURNAL) as journal:
                summaries[model] = jury.judge(
                    asked,
                    journal,
                    folder,
                    model=_model(model, source),
                    config=plain_dict(self.config),
                    given=known.get((model, jury.who.name), ()),
                )
            self.write_files(settings, folder)
        return summaries

    def sum_up(
        self, name: str, settings: JudgeSettings, judgments: str
    ) -> dict[str, dict[str, float]]:
        """What the judgments of a file come to, for each model and each judge of it."""
        benchmark, questions, digest = settings.load(resolve_data_dir(self.config.data_dir))
        ids = {question.id for question in questions}
        read = read_judgments(judgments, benchmark)
        several_judges = len({by for _, by in read}) > 1
        summaries = {}
        for (model, by), given in read.items():
            label = f"{model} judged by {by}" if several_judges else model
            known = [judgment for judgment in given if judgment.question in ids]
            if not known:
                raise UserError(f"{judgments} judges none of the questions of {benchmark.name}")
            folder = self._folder(name, label, alone=len(read) == 1)
            summaries[label] = write_judged(
                folder,
                Judged(
                    benchmark=benchmark,
                    questions=questions,
                    data_sha256=digest,
                    answers=(),
                    judgments=known,
                    judge={"type": "file", "model": by, "source": judgments},
                    votes=1 + max(judgment.vote for judgment in known),
                ),
                model=_model(model, epath.Path(judgments)),
                config=plain_dict(self.config),
                max_samples=settings.max_samples,
                kind=settings.kind,
            )
            self.write_files(settings, folder)
        return summaries

    def write_files(self, settings: JudgeSettings, folder: epath.Path) -> None:
        """The answers and judgments of a result folder as llm-jp-judge's files, if wanted."""
        if not self.write_also:
            return
        benchmark, questions, _ = settings.load(resolve_data_dir(self.config.data_dir))
        (((model, by), judgments),) = read_judgments(folder, benchmark).items()
        _, answers = fastchat_files.read_answers(folder / ANSWERS)
        place = folder / _LLM_JP_JUDGE
        llm_jp_judge_answers.write_answers(
            place / "generation", benchmark.name, model, questions, answers
        )
        llm_jp_judge_tables.write_tables(
            place / "evaluation", benchmark, questions, judgments, model=model, judge=by
        )

    def _folder(self, name: str, label: str, *, alone: bool) -> epath.Path:
        """The result folder of one model; where there are several each has a workdir."""
        place = re.sub(r"[^\w.-]+", "--", label).strip(".-") or "answers"
        return result_folder(self.workdir if alone else self.workdir / place, name, None)


def _model(name: str, source: epath.Path) -> dict[str, Any]:
    digest = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None
    return {"name": name, "source": os.fspath(source), "outputs_sha256": digest}


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
        "--answers", metavar="PATH", help="answers made elsewhere: FastChat's or llm-jp-judge's"
    )
    parser.add_argument(
        "--judgments",
        metavar="PATH",
        help="judgments made already: with --answers they are not asked for again, alone they are "
        "summed up",
    )
    parser.add_argument("--workdir", required=True, help="where the results go")
    parser.add_argument("--max_samples", type=int, help="ask so many questions; -1: all")
    parser.add_argument("--preset", help="run the benchmarks as this tool does; see presets.py")
    parser.add_argument("--raw_dir", help="where data lies that was downloaded by hand")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        choices=(_LLM_JP_JUDGE,),
        help="write every result in the files of this tool too",
    )
    args, unknown = parser.parse_known_args(argv)
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
    judge(
        config,
        args.workdir,
        model=args.model,
        answers=args.answers,
        judgments=args.judgments,
        also=args.also,
    )
    console = Console()
    found = find_results([args.workdir]).results
    results = [result for result in found if "judge" in result.record]
    for result in results:
        console.print(judged_table(result))
    if any(CAPPED in result.record["judge"]["reasons"] for result in results):
        print("raise the cap and give the same command again to go on", file=sys.stderr)
        return 1
    return 0


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
