"""What a judge reads: a rubric's prompt with question, answer and reference filled in.

The names a prompt may use: `question` and `answer` of the judged turn, `question_1`, `answer_1`,
`question_2`, ... of each turn up to it, `reference` and `ref_answer_1`, ... likewise where there
are references, `response`, `input` and `lm_output` as other tools call them, `category`, `id`, and
the other fields of the question's record.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jinja2
import jinja2.sandbox

from jaxllm.errors import UserError
from jaxllm.judging.benchmark import Benchmark, Question, Rubric
from jaxllm.text.example import Message

# An answer as it came: None where the model gave none.
Turn = str | None


def judge_messages(
    benchmark: Benchmark, rubric: Rubric, question: Question, answer: Sequence[Turn]
) -> tuple[Message, ...]:
    """The messages that ask for a judgment of the rubric's turn; raises UserError as `check`."""
    values = _values(benchmark, rubric, question, answer)
    prompt = Message(role="user", content=_filled(benchmark, rubric, values))
    if not rubric.system:
        return (prompt,)
    return Message(role="system", content=rubric.system), prompt


def applies(rubric: Rubric, question: Question) -> bool:
    """Whether a question is judged by this rubric."""
    if rubric.turn > len(question.turns):
        return False
    return rubric.with_reference in (None, bool(question.references))


def check(benchmark: Benchmark, questions: Sequence[Question]) -> None:
    """Fills in every prompt once, so that a name it lacks is told before hours of answers.

    Raises:
        UserError: a prompt that wants a name that its question has not, or a question that no
            rubric judges.
    """
    for question in questions:
        rubrics = [rubric for rubric in benchmark.rubrics if applies(rubric, question)]
        if not rubrics:
            raise UserError(
                f"{benchmark.name}: no rubric judges question {question.id}, which has "
                f"{len(question.turns)} turns and {'a' if question.references else 'no'} reference"
            )
        for rubric in rubrics:
            judge_messages(benchmark, rubric, question, [""] * len(question.turns))


def _values(
    benchmark: Benchmark, rubric: Rubric, question: Question, answer: Sequence[Turn]
) -> dict[str, Any]:
    last = rubric.turn - 1
    asked = question.turns[: rubric.turn]
    answered = [_text(turn) for turn in answer[: rubric.turn]]
    references = question.references[: rubric.turn]
    values: dict[str, Any] = {**question.fields, "id": question.id, "category": question.category}
    for number, (text, reply) in enumerate(zip(asked, answered, strict=True), start=1):
        values |= {f"question_{number}": text, f"answer_{number}": reply}
    values |= {f"ref_answer_{number}": text for number, text in enumerate(references, start=1)}
    reference = references[last] if len(references) > last else None
    if benchmark.lists_as_python:
        judged = {"question": str(list(asked)), "answer": str([answer[last]])}
        shown = None if reference is None else str(list(references))
    else:
        judged = {"question": asked[last], "answer": answered[last]}
        shown = reference
    values |= judged | {"response": judged["answer"]}
    values |= {"input": judged["question"], "lm_output": judged["answer"]}
    return values | ({} if shown is None else {"reference": shown})


def _text(turn: Turn) -> str:
    # How Python prints what is not there; asked for by presets alone.
    return str(turn)


def _filled(benchmark: Benchmark, rubric: Rubric, values: dict[str, Any]) -> str:
    where = f"{benchmark.name}, rubric {rubric.name}"
    try:
        if rubric.jinja:
            return _compiled(rubric.prompt).render(values)
        return rubric.prompt.format(**values)
    except (KeyError, jinja2.UndefinedError) as error:
        raise UserError(
            f"{where}: the prompt wants {error}, and question {values['id']} has only "
            f"{', '.join(sorted(values))}"
        ) from error
    except (ValueError, IndexError, AttributeError, jinja2.TemplateError) as error:
        raise UserError(
            f"{where}: the prompt is no template ({error}); write {{{{ and }}}} for plain braces"
        ) from error


@functools.lru_cache(maxsize=64)
def _compiled(source: str) -> jinja2.Template:
    environment = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    return environment.from_string(source)
