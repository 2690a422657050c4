"""A judge reads what the model answers: all answers first, then all judgments."""

from __future__ import annotations

import collections
import functools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from jax.sharding import Mesh

from jaxllm.chat import CallJournal, ChatModel, Usage
from jaxllm.chat.endpoint import EndpointSettings
from jaxllm.evaluators.chat_models import (
    LocalSettings,
    local_chat,
    open_chat_model,
    read_chat_group,
)
from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.judge_settings import JudgeSettings
from jaxllm.evaluators.record import model_entry
from jaxllm.judging.answers import Answer, collect_answers
from jaxllm.judging.judgments import Judgment, adopt, check_votes, judge_answers
from jaxllm.judging.questions import spread
from jaxllm.judging.record import Judged, write_judged
from jaxllm.models.decoder import Params

JOURNAL = "journal"


class JudgeEvaluator:
    """Asks a benchmark's questions and has the answers judged.

    The journal of calls is that of all steps of an evaluator, so that a cap on cost is one too.
    """

    Settings = JudgeSettings

    def __init__(self, settings: JudgeSettings, context: EvalContext) -> None:
        self.settings, self.context = settings, context
        self._jury = Jury(settings, data_dir=os.fspath(context.data_dir), mesh=context.mesh)

    def __call__(
        self, params: Params, *, step: int | None, tokens: int | None, folder: epath.Path
    ) -> dict[str, float]:
        """Answers, judges, writes the result folder and returns the headline numbers."""
        context = self.context
        model: ChatModel
        if context.endpoint is not None:
            model, entry = context.endpoint, model_entry(context, "")
        else:
            model = local_chat(
                params,
                context.architecture,
                context.tokenizer,
                name=context.name,
                source=context.source,
                template=self.settings.template,
                mesh=context.mesh,
            )
            entry = model_entry(context, str(model.provenance["weights_digest"]))
        with CallJournal(folder.parent / JOURNAL) as journal:
            answers = collect_answers(
                self._jury.benchmark,
                self._jury.questions,
                model,
                journal,
                num_samples=self.settings.num_samples,
            )
            del model  # its keys and values make room for those of a local judge
            return self._jury.judge(
                answers,
                journal,
                folder,
                model=entry,
                config=context.config,
                step=step,
                tokens=tokens,
            )


class Jury:
    """A benchmark with its questions, and who judges the answers to them.

    Raises:
        UserError: the data is not here, or the judge cannot be opened.
    """

    def __init__(self, settings: JudgeSettings, *, data_dir: str, mesh: Mesh | None) -> None:
        self.settings, self._mesh = settings, mesh
        self.benchmark, self.questions, self.data_sha256 = settings.load(data_dir)
        who = read_chat_group(settings.judge)
        check_votes(self.benchmark, settings.votes, repeats=not isinstance(who, EndpointSettings))
        if not isinstance(who, LocalSettings):
            _ = self.who  # what it lacks is told now; weights are loaded when they are wanted

    @functools.cached_property
    def who(self) -> ChatModel:
        """Who judges."""
        return open_chat_model(read_chat_group(self.settings.judge), mesh=self._mesh)

    def judge(
        self,
        answers: Sequence[Answer],
        journal: CallJournal,
        folder: epath.Path,
        *,
        model: Mapping[str, Any],
        config: Mapping[str, Any],
        given: Sequence[Judgment] = (),
        step: int | None = None,
        tokens: int | None = None,
    ) -> dict[str, float]:
        """Has answers judged, writes the result folder and returns the headline numbers.

        `given` are judgments of the same judge that need not be asked for again.
        """
        settings, judge = self.settings, self.who
        started, before = time.monotonic(), journal.usage(judge.identity)
        chosen = {question.id for question in spread(self.questions, settings.max_judged)}
        judged = [answer for answer in answers if answer.question in chosen]
        if given:
            taken = adopt(
                self.benchmark, self.questions, judged, given, judge, journal, votes=settings.votes
            )
            print(
                f"{self.benchmark.name}: {taken} of {len(given)} judgments need not be made again"
            )
        judgments = judge_answers(
            self.benchmark, self.questions, judged, judge, journal, votes=settings.votes
        )
        _tell_missing(self.benchmark.name, judgments)
        after = journal.usage(judge.identity)
        return write_judged(
            folder,
            Judged(
                benchmark=self.benchmark,
                questions=self.questions,
                data_sha256=self.data_sha256,
                answers=answers,
                judgments=judgments,
                judge=judge.provenance,
                votes=settings.votes,
            ),
            model=model,
            config=config,
            max_samples=settings.max_samples,
            kind=settings.kind,
            step=step,
            tokens=tokens,
            timings={
                "seconds": round(time.monotonic() - started, 3),
                "calls": after.calls - before.calls,
                "judge_so_far": self._used(after),
            },
        )

    def _used(self, usage: Usage) -> dict[str, Any]:
        return {
            "calls": usage.calls,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost": self.who.cost(usage),
        }


def _tell_missing(benchmark: str, judgments: Sequence[Judgment]) -> None:
    reasons = collections.Counter(one.reason for one in judgments if one.scores is None)
    for reason, count in reasons.most_common(3):
        print(
            f"{benchmark}: {count} of {len(judgments)} judgments missing: {reason}", file=sys.stderr
        )
