"""`jaxllm judge --audit`: how far a judge can be believed.

    WORKDIR/audit/NAME/audit.json   agreement, biases and correlations; provenance

Judgments that stand in files are compared with one another and with people's ratings; of answers
the judge is asked again, in the journal of WORKDIR/evals/NAME, where its first judgments stand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from jaxllm.chat import CallJournal
from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.evaluators.judge import JOURNAL, Jury
from jaxllm.evaluators.schedule import evaluator_settings, result_folder
from jaxllm.judging import probes
from jaxllm.judging.answers import Answer
from jaxllm.judging.audit import audit_record
from jaxllm.judging.benchmark import Benchmark
from jaxllm.judging.comparisons import Verdict
from jaxllm.judging.files import read_answers, read_judgments
from jaxllm.judging.judgments import Judgment, judge_answers
from jaxllm.judging.questions import spread
from jaxllm.judging.ratings import read_ratings
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.paths import resolve_data_dir
from jaxllm.reporting.results import to_json, write_whole_file

RESULT = "audit.json"
TIMES = 3  # how often the judge is asked again at temperature 0

_Judged = dict[str, dict[str, list[Judgment]]]


def audit(
    config: ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    answers: Sequence[str | os.PathLike[str]] = (),
    judgments: Sequence[str | os.PathLike[str]] = (),
    ratings: str | os.PathLike[str] | None = None,
    times: int = TIMES,
) -> list[dict[str, Any]]:
    """Audits the judge of every evaluator and writes what came of it.

    Args:
        answers: the answers that the judge is asked about, `[NAME=]PATH`: once as it is set up,
            `times` times at temperature 0, and with every answer said twice.
        judgments: judgments made already, of this judge or of others.
        ratings: what people gave: an export of `jaxllm annotate`, or llm-human-eval-jp's file.

    Returns:
        The records that stand in `audit.json`, one for each evaluator.

    Raises:
        UserError: nothing to compare, or what reading and judging raise.
    """
    if not answers and len(judgments) + (ratings is not None) < 2:
        raise UserError(
            "--audit takes --answers that the judge is asked about, or --judgments of two judges, "
            "or --judgments and --ratings"
        )
    place = epath.Path(workdir)
    place.mkdir(parents=True, exist_ok=True)
    save_config(config, place / CONFIG_FILE)
    people = None if ratings is None else read_ratings(ratings)
    records = []
    for name, (_, settings) in evaluator_settings(config.evals).items():
        data_dir = resolve_data_dir(config.data_dir)
        judged: _Judged = {}
        swapped: list[Verdict] = []
        given: dict[str, list[Answer]] = {}
        provenance: dict[str, Any] = {}
        if answers:
            enable_compilation_cache()  # a local judge compiles
            jury = Jury(settings, data_dir=data_dir, mesh=make_mesh(MeshShape(**config.mesh)))
            given = _chosen(jury, answers)
            with CallJournal(result_folder(place, name, None).parent / JOURNAL) as journal:
                judged, swapped = _ask(jury, given, journal, times)
            benchmark, provenance = jury.benchmark, dict(jury.who.provenance)
        else:
            benchmark, _, _ = settings.load(data_dir)
        judged |= _read(judgments, benchmark, taken=judged)
        record = audit_record(
            benchmark, judged, people=people, answers=given or None, swapped=swapped
        )
        record |= {
            "judge": provenance or None,
            "judgments": [os.fspath(path) for path in judgments],
            "ratings": None if ratings is None else os.fspath(ratings),
            "config": plain_dict(config),
        }
        folder = place / "audit" / name
        folder.mkdir(parents=True, exist_ok=True)
        write_whole_file(folder / RESULT, f"{to_json(record, indent=1)}\n")
        records.append(record)
    return records


def _chosen(jury: Jury, answers: Sequence[str | os.PathLike[str]]) -> dict[str, list[Answer]]:
    """Each model's answers to the questions that are judged."""
    ids = {question.id for question in spread(jury.questions, jury.settings.max_judged)}
    read = read_answers(answers, jury.benchmark)
    found = {
        model: [answer for answer in all_answers if answer.question in ids]
        for model, (_, all_answers) in read.items()
    }
    if not any(found.values()):
        raise UserError(f"none of the questions of {jury.benchmark.name} is answered there")
    return found


def _ask(
    jury: Jury, answers: Mapping[str, list[Answer]], journal: CallJournal, times: int
) -> tuple[_Judged, list[Verdict]]:
    benchmark, questions, who = jury.benchmark, jury.questions, jury.who
    votes = jury.settings.votes
    judged: _Judged = {
        who.name: {
            model: judge_answers(benchmark, questions, given, who, journal, votes=votes)
            for model, given in answers.items()
        }
    }
    asked = (benchmark, questions, answers, who, journal)
    judged[f"{who.name} {probes.AGAIN}"] = probes.again(*asked, times=times)
    judged[f"{who.name}, {probes.PADDED}"] = probes.padded(*asked, votes=votes)
    return judged, probes.swapped(*asked) if benchmark.pairs else []


def _read(
    judgments: Sequence[str | os.PathLike[str]], benchmark: Benchmark, *, taken: _Judged
) -> _Judged:
    """What stands in files, by judge; one that is there twice is told apart by its file."""
    read = [(path, read_judgments(path, benchmark)) for path in judgments]
    names = [*taken, *(name for _, found in read for name in {by for _, by in found})]
    judged: _Judged = {}
    for path, found in read:
        for (model, by), given in found.items():
            label = by if names.count(by) == 1 else f"{by} ({os.fspath(path)})"
            judged.setdefault(label, {})[model] = given
    return judged
