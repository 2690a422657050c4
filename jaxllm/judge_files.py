"""`jaxllm judge` of answers and judgments that stand in files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from jaxllm.chat import CallJournal
from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import plain_dict
from jaxllm.errors import UserError
from jaxllm.evaluators.judge import JOURNAL, Jury
from jaxllm.evaluators.judge_settings import JudgeSettings
from jaxllm.evaluators.schedule import result_folder
from jaxllm.judging import fastchat_files, llm_jp_judge_answers, llm_jp_judge_tables
from jaxllm.judging.files import ANSWERS, folder_name, read_answers, read_judgments
from jaxllm.judging.record import Judged, write_judged
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.paths import resolve_data_dir

LLM_JP_JUDGE = "llm-jp-judge"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FileJudging:
    """Where results go and what stands in them; `write_also` adds llm-jp-judge's files to each."""

    config: ConfigDict
    workdir: epath.Path
    write_also: bool

    def judge_answers(
        self,
        name: str,
        settings: JudgeSettings,
        answers: Sequence[str | os.PathLike[str]],
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
        place = folder / LLM_JP_JUDGE
        llm_jp_judge_answers.write_answers(
            place / "generation", benchmark.name, model, questions, answers
        )
        llm_jp_judge_tables.write_tables(
            place / "evaluation", benchmark, questions, judgments, model=model, judge=by
        )

    def _folder(self, name: str, label: str, *, alone: bool) -> epath.Path:
        """The result folder of one model; where there are several each has a workdir."""
        workdir = self.workdir if alone else self.workdir / folder_name(label)
        return result_folder(workdir, name, None)


def _model(name: str, source: epath.Path) -> dict[str, Any]:
    digest = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None
    return {"name": name, "source": os.fspath(source), "outputs_sha256": digest}
