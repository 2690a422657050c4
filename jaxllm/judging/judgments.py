"""Answers to judgments: every call once, votes apart, and unreadable ones asked for again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from jaxllm.chat import CallJournal, ChatModel, ChatReply, ChatRequest, ask
from jaxllm.errors import UserError
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Benchmark, Question, Rubric
from jaxllm.judging.parsers import ExpectedScore, JsonParser, NoScore
from jaxllm.judging.prompts import applies, judge_messages
from jaxllm.text.example import Message

NO_ANSWER = "there is no answer to judge"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgment:
    """One vote on one turn of one answer.

    Attributes:
      rubric: its name; turn, sample and vote count from 1, 0 and 0.
      prompt: what the judge was asked, the last message.
      text: what it wrote; of several tries the last.
      scores: what was read out of it, None where nothing could be.
      reason: why there are none.
      tries: the calls it took.
      imputed: the scores were given by a preset and not by the judge.
    """

    question: str
    sample: int
    rubric: str
    turn: int
    vote: int
    prompt: str
    text: str
    scores: Mapping[str, float] | None
    reason: str = ""
    tries: int = 1
    imputed: bool = False
    made_at: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A vote that is wanted, and how it is asked for.

    `subject` tells apart what else is asked by the rubric about the question.
    """

    question: Question
    sample: int
    rubric: Rubric
    vote: int
    messages: tuple[Message, ...]
    subject: str


def judge_answers(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    judge: ChatModel,
    journal: CallJournal,
    *,
    votes: int = 1,
) -> list[Judgment]:
    """`votes` judgments of every judged turn of every answer, in the order of the answers.

    A judgment without a readable score is asked for again as often as the benchmark says, and
    then missing; so is one whose call fails.

    Raises:
        UserError: the judge cannot be asked at all.
    """
    calls = _calls(benchmark, questions, answers, votes)
    done = [_without_asking(benchmark, call, turns) for call, turns in calls]
    waiting = [call for (call, _), judgment in zip(calls, done, strict=True) if judgment is None]
    asked = iter(ask_judge(benchmark, waiting, judge, journal, title="judgments"))
    return [next(asked) if judgment is None else judgment for judgment in done]


def ask_judge(
    benchmark: Benchmark,
    calls: Sequence[Call],
    judge: ChatModel,
    journal: CallJournal,
    *,
    title: str,
) -> list[Judgment]:
    """A judgment for each call, in their order; `judge_answers` says what becomes of failures."""
    done: dict[int, Judgment] = {}
    waiting = list(range(len(calls)))
    for attempt in range(1 + _retries(benchmark, judge)):
        if not waiting:
            break
        requests = [_request(benchmark, calls[index], attempt) for index in waiting]
        again = f", try {attempt + 1}" if attempt else ""
        replies = ask(judge, requests, journal, title=f"{benchmark.name}: {title}{again}")
        for index, reply in zip(waiting, replies, strict=True):
            done[index] = _judgment(benchmark, calls[index], reply, attempt)
        journal.set_scores(
            judge.identity,
            [
                (request, done[index].scores or {"missing": done[index].reason})
                for index, request in zip(waiting, requests, strict=True)
            ],
        )
        waiting = [
            index
            for index, reply in zip(waiting, replies, strict=True)
            if done[index].scores is None and not reply.error
        ]
    return [done[index] for index in range(len(calls))]


def missing(call: Call, reason: str) -> Judgment:
    """The judgment of what the judge was not asked about."""
    return _made(call, text="", scores=None, reason=reason, tries=0)


def adopt(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    given: Sequence[Judgment],
    judge: ChatModel,
    journal: CallJournal,
    *,
    votes: int = 1,
) -> int:
    """Puts what a judge said elsewhere into the journal, so that `judge_answers` goes on from it.

    A judgment counts where its prompt is the one that would be asked here. Returns how many do.
    """
    said = {(one.question, one.sample, one.rubric, one.vote): one for one in given if one.text}
    taken = []
    for call, _ in _calls(benchmark, questions, answers, votes):
        one = said.get((call.question.id, call.sample, call.rubric.name, call.vote))
        if one is not None and one.prompt == call.messages[-1].content:
            reply = ChatReply(text=one.text, finish_reason="adopted", made_at=one.made_at)
            taken.append((_request(benchmark, call, 0), reply))
    journal.add(judge.identity, taken)
    return len(taken)


def check_votes(benchmark: Benchmark, votes: int, *, repeats: bool) -> None:
    """Raises UserError where several votes could only be the same one.

    `repeats` tells of a judge that answers alike each time, as in `ChatModel`.
    """
    if votes < 1:
        raise UserError(f"votes={votes}: a judge is asked at least once")
    parser = benchmark.rubrics[0].parser
    alike = isinstance(parser, ExpectedScore) or benchmark.judge.temperature == 0
    if votes > 1 and repeats and alike:
        raise UserError(
            f"votes={votes} of a judge that repeats itself would all be the same: set a temperature"
            " for the judge, or votes=1"
        )


def _calls(
    benchmark: Benchmark, questions: Sequence[Question], answers: Sequence[Answer], votes: int
) -> list[tuple[Call, tuple[str | None, ...]]]:
    """What is to be asked, each with the answer's turns up to the judged one."""
    by_id = {question.id: question for question in questions}
    calls = []
    for answer in answers:
        if benchmark.first_sample_only and answer.sample:
            continue
        question = by_id[answer.question]
        for rubric in benchmark.rubrics:
            if not applies(rubric, question):
                continue
            turns = answer.up_to(rubric.turn)
            messages = judge_messages(benchmark, rubric, question, turns)
            calls += [
                (
                    Call(
                        question=question,
                        sample=answer.sample,
                        rubric=rubric,
                        vote=vote,
                        messages=messages,
                        subject=str(answer.sample),
                    ),
                    turns,
                )
                for vote in range(votes)
            ]
    return calls


def _retries(benchmark: Benchmark, judge: ChatModel) -> int:
    return 0 if judge.repeats and benchmark.judge.temperature == 0 else benchmark.retries


def _without_asking(
    benchmark: Benchmark, call: Call, turns: Sequence[str | None]
) -> Judgment | None:
    """The judgment of an answer that is not there, or None where the judge is to be asked."""
    given = {
        score: benchmark.empty_answer_scores[score]
        for score in call.rubric.scales
        if score in benchmark.empty_answer_scores
    }
    if given and not turns[-1]:
        return _made(call, text="", scores=given, reason="an empty answer", tries=0, imputed=True)
    if None in turns and not benchmark.judges_nothing:
        return missing(call, NO_ANSWER)
    return None


def _request(benchmark: Benchmark, call: Call, attempt: int) -> ChatRequest:
    rubric, parser = call.rubric, call.rubric.parser
    sampling = benchmark.judge
    seed = None if sampling.seed is None else sampling.seed + call.vote + 1000 * attempt
    return ChatRequest(
        id=(
            f"{benchmark.name}/{call.question.id}/{call.subject}/{rubric.name}/"
            f"{call.vote}/{attempt}"
        ),
        messages=call.messages,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature_of(call.question.category),
        top_p=sampling.top_p,
        seed=seed,
        response_schema=(parser.schema(rubric.scales) if isinstance(parser, JsonParser) else None),
        choices=parser.choices(rubric.scales) if isinstance(parser, ExpectedScore) else (),
    )


def _judgment(benchmark: Benchmark, call: Call, reply: ChatReply, attempt: int) -> Judgment:
    if reply.error:
        given = {
            score: benchmark.failed_call_scores[score]
            for score in call.rubric.scales
            if score in benchmark.failed_call_scores
        }
        return _made(
            call,
            text="",
            scores=given or None,
            reason=reply.error,
            tries=attempt + 1,
            imputed=bool(given),
        )
    parser, scales = call.rubric.parser, call.rubric.scales
    common = {"text": reply.text, "tries": attempt + 1, "made_at": reply.made_at}
    try:
        if isinstance(parser, ExpectedScore):
            scores = parser.expected(reply.logprobs, scales)
        else:
            scores = parser.parse(reply.text, scales)
    except NoScore as error:
        return _made(call, scores=None, reason=str(error), **common)
    return _made(call, scores=scores, **common)


def _made(call: Call, **fields: object) -> Judgment:
    return Judgment(
        question=call.question.id,
        sample=call.sample,
        rubric=call.rubric.name,
        turn=call.rubric.turn,
        vote=call.vote,
        prompt=call.messages[-1].content,
        **fields,  # type: ignore[arg-type]
    )
