"""Requests to answers: a journal gives those it holds, a run the others, and a bar tells how far.

A run is `Engine.generate` or `Engine.score`, or what takes the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jaxllm.decode.journal import Answer, Journal
from jaxllm.decode.requests import Completion
from jaxllm.observe.progress import Progress


def ask(
    run: Callable[..., list[Answer]],
    journal: Journal[Answer],
    *,
    title: str,
    on_answers: Callable[[Mapping[int, Answer]], None] | None = None,
) -> list[Answer]:
    """Answers in the order of the journal's requests; raises what `run` raises.

    The bar counts requests, and beside them the tokens that were generated or scored.
    """
    with Progress(
        title, total=len(journal.requests), unit="requests", completed=len(journal.known)
    ) as bar:

        def keep(new: Mapping[int, Answer]) -> None:
            journal.add(new)
            bar.update(len(new), tokens=sum(map(_num_tokens, new.values())))
            if on_answers:
                on_answers(new)

        return run(journal.requests, known=journal.known, on_answers=keep)


def _num_tokens(answer: Answer) -> int:
    return len(answer.token_ids) if isinstance(answer, Completion) else answer.num_tokens
