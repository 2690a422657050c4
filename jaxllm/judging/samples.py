"""The sample lines of a judged result: question, answer, what the judge said, and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Question
from jaxllm.judging.judgments import Judgment
from jaxllm.judging.scores import Item


def sample_lines(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    judgments: Sequence[Judgment],
    items: Mapping[str, Sequence[Item]],
) -> list[dict[str, Any]]:
    """A line for every judged turn among the `items` of each metric, by its name."""
    by_id = {question.id: question for question in questions}
    values: dict[tuple[str, int], dict[str, float]] = {}
    for name, some in items.items():
        for item in some:
            scores = values.setdefault((item.question, item.turn), {})
            if item.value is not None:
                scores[name] = item.value
    answered: dict[str, list[Answer]] = {}
    for answer in answers:
        answered.setdefault(answer.question, []).append(answer)
    said: dict[tuple[str, int], list[Judgment]] = {}
    for judgment in judgments:
        said.setdefault((judgment.question, judgment.turn), []).append(judgment)
    return [
        _sample(by_id[question], turn, answered.get(question, []), said[question, turn], scores)
        for (question, turn), scores in values.items()
    ]


def _sample(
    question: Question,
    turn: int,
    answers: Sequence[Answer],
    judgments: Sequence[Judgment],
    scores: Mapping[str, float],
) -> dict[str, Any]:
    texts = [answer.up_to(turn)[-1] for answer in answers]
    errors = [error for answer in answers for error in answer.errors]
    asked = question.turns[:turn]
    if turn > 1 and answers:
        said = [text or "" for text in answers[0].turns[: turn - 1]]
        asked = (*(part for pair in zip(asked, said, strict=False) for part in pair), asked[-1])
    return {
        "id": f"{question.id}/{turn}" if len(question.turns) > 1 else question.id,
        "prompt": "\n\n".join(asked),
        "output": (texts[0] if texts else None) or "",
        "prediction": judgments[0].text,
        "gold": question.references[turn - 1] if question.references else "",
        "scores": dict(scores),
        "outputs": texts,
        "errors": errors,
        "judgments": [
            {
                "rubric": judgment.rubric,
                "sample": judgment.sample,
                "vote": judgment.vote,
                "scores": None if judgment.scores is None else dict(judgment.scores),
                "reason": judgment.reason or None,
                "tries": judgment.tries,
                "text": judgment.text,
            }
            for judgment in judgments
        ],
    }
