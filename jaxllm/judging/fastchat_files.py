"""FastChat's files: model_answer/MODEL.jsonl and model_judgment/JUDGE_single.jsonl.

Ours are the same with fields of our own, which FastChat's programs ignore, so that either tool goes
on where the other stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.corpora.json_records import read_records
from jaxllm.errors import UserError
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark
from jaxllm.judging.judgments import Judgment
from jaxllm.text.fastchat import read_model_answer

# What FastChat writes where there is no score.
_NO_SCORE = -1


def answer_lines(answers: Sequence[Answer], model: str) -> Iterator[dict[str, Any]]:
    """The lines of an answer file: one a question, its samples as choices."""
    by_question: dict[str, list[Answer]] = {}
    for answer in answers:
        by_question.setdefault(answer.question, []).append(answer)
    for question, samples in by_question.items():
        choices = [
            {"index": answer.sample, "turns": [turn or "" for turn in answer.turns]}
            | ({"errors": list(answer.errors)} if answer.errors else {})
            for answer in samples
        ]
        yield {
            "question_id": question_number(question),
            "answer_id": hashlib.sha256(repr((model, choices)).encode()).hexdigest()[:22],
            "model_id": model,
            "choices": choices,
            "tstamp": max(answer.made_at for answer in samples),
        }


def read_answers(path: str | os.PathLike[str]) -> tuple[str, list[Answer]]:
    """The model's name and its answers.

    Raises:
        UserError: the file is not there, is another one, or holds answers of several models.
    """
    path = epath.Path(path)
    answers: list[Answer] = []
    models: dict[str, None] = {}
    for number, record in enumerate(_lines(path), start=1):
        try:
            question = str(record["question_id"])
            read = read_model_answer(record)
        except (KeyError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{path}, line {number}: no answer as FastChat writes them: {reason}"
            ) from error
        models[read.model] = None
        answers += [
            Answer(
                question=question,
                sample=choice.index,
                # An empty text with an error is no answer, and one without is one.
                turns=tuple(turn or None for turn in choice.turns)
                if choice.errors
                else choice.turns,
                errors=choice.errors,
                made_at=read.made_at,
            )
            for choice in read.choices
        ]
    if len(models) > 1:
        names = ", ".join(name or "one without a name" for name in models)
        raise UserError(f"{path} holds answers of {names}: give each model a file of its own")
    return next(iter(models), "") or path.stem, answers


def judgment_lines(
    judgments: Sequence[Judgment], model: str, judge: str
) -> Iterator[dict[str, Any]]:
    """The lines of a judgment file; FastChat's `score` is the rubric's first score, or -1."""
    for judgment in judgments:
        scores = None if judgment.scores is None else dict(judgment.scores)
        yield {
            "question_id": question_number(judgment.question),
            "model": model,
            "judge": [judge, judgment.rubric],
            "user_prompt": judgment.prompt,
            "judgment": judgment.text,
            "score": _NO_SCORE if scores is None else _whole(next(iter(scores.values()))),
            "turn": judgment.turn,
            "tstamp": judgment.made_at,
            "sample": judgment.sample,
            "vote": judgment.vote,
            "scores": scores,
            "reason": judgment.reason or None,
            "tries": judgment.tries,
            "imputed": judgment.imputed,
        }


def read_judgments(
    path: str | os.PathLike[str], benchmark: Benchmark
) -> dict[tuple[str, str], list[Judgment]]:
    """The judgments of a file by model and judge, each as the benchmark's rubric of that name.

    Raises:
        UserError: the file is not there or is another one, or names a rubric that the benchmark
            has not.
    """
    path = epath.Path(path)
    rubrics = {rubric.name: rubric for rubric in benchmark.rubrics}
    found: dict[tuple[str, str], list[Judgment]] = {}
    for number, record in enumerate(_lines(path), start=1):
        try:
            judge, name = record["judge"]
            if name not in rubrics:
                raise UserError(
                    f"{benchmark.name} has no rubric {name!r}; it has {', '.join(rubrics)}"
                )
            scores = _scores(record, next(iter(rubrics[name].scales)))
            found.setdefault((str(record["model"]), str(judge)), []).append(
                Judgment(
                    question=str(record["question_id"]),
                    sample=int(record.get("sample", 0)),
                    rubric=name,
                    turn=int(record.get("turn", rubrics[name].turn)),
                    vote=int(record.get("vote", 0)),
                    prompt=_text(record.get("user_prompt", "")),
                    text=_text(record.get("judgment", "")),
                    scores=scores,
                    reason=str(record.get("reason") or ("" if scores else "no score in the file")),
                    tries=int(record.get("tries", 1)),
                    imputed=bool(record.get("imputed", False)),
                    made_at=float(record.get("tstamp") or 0.0),
                )
            )
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}, line {number}: no judgment as FastChat writes them ({error!r})"
            ) from error
    return found


def question_number(question: str) -> int | str:
    """A question's id as FastChat has it: a number where it is one, as its programs look it up."""
    return int(question) if question.isdigit() and str(int(question)) == question else question


def _lines(path: epath.Path) -> Sequence[Mapping[str, Any]]:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    if path.suffix != ".jsonl":
        raise UserError(f"{path} is no .jsonl file")
    return read_records(path)


def _scores(record: Mapping[str, Any], first: str) -> dict[str, float] | None:
    if "scores" in record:
        own = record["scores"]
        return None if own is None else {name: float(value) for name, value in own.items()}
    return None if record["score"] == _NO_SCORE else {first: float(record["score"])}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(score: float) -> float | int:
    return int(score) if score.is_integer() else score
