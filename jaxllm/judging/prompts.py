"""What a judge reads: a rubric's prompt with question, answer and reference filled in.

The names a prompt may use: `question` and `answer` of the judged turn, `question_1`, `answer_1`,
`question_2`, ... of each turn up to it, `reference` and `ref_answer_1`, ... likewise where there
are references, `response`, `input` and `lm_output` as other tools call them, `category`, `id`, and
the other fields of the question's record. A prompt that compares two answers has `answer_a`,
`answer_a_1`, ... and `answer_b`, `answer_b_1`, ... in place of `answer` and its like.
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
    return _messages(benchmark, rubric, _values(benchmark, rubric, question, answer))


def pair_messages(
    benchmark: Benchmark,
    rubric: Rubric,
    question: Question,
    first: Sequence[Turn],
    second: Sequence[Turn],
) -> tuple[Message, ...]:
    """The messages that ask which of two answers is better; raises UserError as `check`."""
    values = _asked(benchmark, rubric, question)
    for side, answer in (("a", first), ("b", second)):
        answered = [_text(turn) for turn in answer[: rubric.turn]]
        values |= {f"answer_{side}": answered[-1]}
        values |= {f"answer_{side}_{n}": text for n, text in enumerate(answered, start=1)}
    return _messages(benchmark, rubric, values)


def _messages(benchmark: Benchmark, rubric: Rubric, values: dict[str, Any]) -> tuple[Message, ...]:
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
        empty = [""] * len(question.turns)
        rubrics = [rubric for rubric in benchmark.rubrics if applies(rubric, question)]
        if not rubrics:
            raise UserError(
                f"{benchmark.name}: no rubric judges question {question.id}, which has "
                f"{len(question.turns)} turns and {'a' if question.references else 'no'} reference"
            )
        for rubric in rubrics:
            judge_messages(benchmark, rubric, question, empty)
        for pair in benchmark.pairs:
            if applies(pair, question):
                pair_messages(benchmark, pair, question, empty, empty)


def _values(
    benchmark: Benchmark, rubric: Rubric, question: Question, answer: Sequence[Turn]
) -> dict[str, Any]:
    answered = [_text(turn) for turn in answer[: rubric.turn]]
    judged = str([answer[rubric.turn - 1]]) if benchmark.lists_as_python else answered[-1]
    values = _asked(benchmark, rubric, question)
    values |= {f"answer_{number}": text for number, text in enumerate(answered, start=1)}
    return values | dict.fromkeys(("answer", "response", "lm_output"), judged)


def _asked(benchmark: Benchmark, rubric: Rubric, question: Question) -> dict[str, Any]:
    """Everything but the answers."""
    asked = question.turns[: rubric.turn]
    references = question.references[: rubric.turn]
    values: dict[str, Any] = {**question.fields, "id": question.id, "category": question.category}
    values |= {f"question_{number}": text for number, text in enumerate(asked, start=1)}
    values |= {f"ref_answer_{number}": text for number, text in enumerate(references, start=1)}
    listed = benchmark.lists_as_python
    values |= dict.fromkeys(("question", "input"), str(list(asked)) if listed else asked[-1])
    if len(references) == rubric.turn:
        values["reference"] = str(list(references)) if listed else references[-1]
    return values


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
