"""A model's answers to a benchmark's questions: all first turns, then all second ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxllm.chat import CallJournal, ChatModel, ChatReply, ChatRequest, ask
from jaxllm.judging.benchmark import Benchmark, Question, Sampling
from jaxllm.text.example import Message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One conversation about a question: the answer to each turn, None where there is none.

    `sample` counts the answers to a question, `errors` says why turns are missing, and `made_at` is
    when the last turn came, in seconds since 1970 (0: unknown).
    """

    question: str
    sample: int
    turns: tuple[str | None, ...]
    errors: tuple[str, ...] = ()
    made_at: float = 0.0

    def up_to(self, turn: int) -> tuple[str | None, ...]:
        """The first turns, None for those that a file left out."""
        return (*self.turns, *[None] * turn)[:turn]


def collect_answers(
    benchmark: Benchmark,
    questions: Sequence[Question],
    model: ChatModel,
    journal: CallJournal,
    *,
    num_samples: int = 1,
) -> list[Answer]:
    """Every question's answers, `num_samples` of each, in the order of the questions.

    A turn whose question got no answer before it is not asked.

    Raises:
        UserError: the model cannot be asked at all.
    """
    told: dict[tuple[int, int], list[ChatReply]] = {
        (index, sample): [] for index in range(len(questions)) for sample in range(num_samples)
    }
    for turn in range(max(len(question.turns) for question in questions)):
        places = [
            (index, sample)
            for (index, sample), replies in told.items()
            if turn < len(questions[index].turns) and not any(reply.error for reply in replies)
        ]
        requests = [
            _request(benchmark, questions[index], sample, told[index, sample])
            for index, sample in places
        ]
        title = f"{benchmark.name}: answers to turn {turn + 1}"
        for place, reply in zip(places, ask(model, requests, journal, title=title), strict=True):
            told[place].append(reply)
    return [_answer(questions[index], sample, replies) for (index, sample), replies in told.items()]


def _request(
    benchmark: Benchmark, question: Question, sample: int, replies: Sequence[ChatReply]
) -> ChatRequest:
    messages = [Message(role="system", content=benchmark.system)] if benchmark.system else []
    for text, reply in zip(question.turns, replies, strict=False):
        messages.append(Message(role="user", content=text))
        messages.append(Message(role="assistant", content=reply.text))
    messages.append(Message(role="user", content=question.turns[len(replies)]))
    sampling: Sampling = benchmark.answers
    return ChatRequest(
        id=f"{benchmark.name}/{question.id}/{sample}/{len(replies) + 1}",
        messages=tuple(messages),
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature_of(question.category),
        top_p=sampling.top_p,
        seed=None if sampling.seed is None else sampling.seed + sample,
    )


def _answer(question: Question, sample: int, replies: Sequence[ChatReply]) -> Answer:
    missing = len(question.turns) - len(replies)
    turns = [None if reply.error else reply.text for reply in replies] + [None] * missing
    return Answer(
        question=question.id,
        sample=sample,
        turns=tuple(turns),
        errors=tuple(reply.error for reply in replies if reply.error),
        made_at=max((reply.made_at for reply in replies), default=0.0),
    )
