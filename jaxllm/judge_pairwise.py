"""`jaxllm judge --pairwise`: which of two models' answers is better, for every two of them.

WORKDIR/pairwise/NAME/pairwise.json   win rates, strengths, what the place decides; provenance
WORKDIR/pairwise/NAME/verdicts.jsonl  every verdict, in FastChat's form
WORKDIR/pairwise/NAME/journal/        every call
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from jaxllm.chat import CallJournal
from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.evaluators.judge import JOURNAL, Jury
from jaxllm.evaluators.schedule import evaluator_settings
from jaxllm.judging.comparisons import compare_answers
from jaxllm.judging.fastchat_pairs import pair_lines, read_pairs
from jaxllm.judging.files import folder_name, read_answers
from jaxllm.judging.pairwise import pairwise_record
from jaxllm.judging.questions import spread
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.paths import resolve_data_dir
from jaxllm.reporting.results import to_json, write_whole_file

RESULT, VERDICTS = "pairwise.json", "verdicts.jsonl"


def compare(
    config: ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    answers: Sequence[str | os.PathLike[str]] = (),
    judgments: str | os.PathLike[str] | None = None,
    baseline: str = "",
) -> list[dict[str, Any]]:
    """Compares models' answers, or sums up comparisons, and writes what came of each evaluator.

    Args:
        answers: files or folders, `[NAME=]PATH`.
        judgments: comparisons in FastChat's form that are summed up; no judge is asked.
        baseline: the model that all others are compared with, in place of every two.

    Returns:
        The records that stand in `pairwise.json`, one for each evaluator and judge.

    Raises:
        UserError: neither or both of answers and judgments, or what reading and judging raise.
    """
    if bool(answers) == (judgments is not None):
        raise UserError("--pairwise takes --answers of two models or more, or --judgments")
    place = epath.Path(workdir)
    place.mkdir(parents=True, exist_ok=True)
    save_config(config, place / CONFIG_FILE)
    records = []
    for name, (_, settings) in evaluator_settings(config.evals).items():
        folder = place / "pairwise" / name
        data_dir = resolve_data_dir(config.data_dir)
        if judgments is not None:
            benchmark, questions, _ = settings.load(data_dir)
            for judge, verdicts in read_pairs(judgments).items():
                source = {"type": "file", "model": judge, "source": os.fspath(judgments)}
                records.append(pairwise_record(benchmark, questions, verdicts, source))
                _write(folder / folder_name(judge), records[-1])
            continue
        enable_compilation_cache()  # a local judge compiles
        jury = Jury(settings, data_dir=data_dir, mesh=make_mesh(MeshShape(**config.mesh)))
        read = read_answers(answers, jury.benchmark)
        with CallJournal(folder / JOURNAL) as journal:
            verdicts = compare_answers(
                jury.benchmark,
                spread(jury.questions, settings.max_judged),
                {model: given for model, (_, given) in read.items()},
                jury.who,
                journal,
                baseline=baseline,
                votes=settings.votes,
            )
        record = pairwise_record(jury.benchmark, jury.questions, verdicts, jury.who.provenance)
        record |= {
            "answers": {model: os.fspath(source) for model, (source, _) in read.items()},
            "data_sha256": jury.data_sha256,
            "votes": settings.votes,
            "config": plain_dict(config),
        }
        lines = pair_lines(verdicts, jury.who.name)
        write_whole_file(folder / VERDICTS, "".join(f"{to_json(line)}\n" for line in lines))
        _write(folder, record)
        records.append(record)
    return records


def _write(folder: epath.Path, record: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole_file(folder / RESULT, f"{to_json(record, indent=1)}\n")
