"""`jaxllm data requests`: token ids and fixed budgets, the same for every program measured.

Two workloads: random prompts, and a suite's own prompts with budgets from its gold answers.
End-of-sequence ids are ignored, so that every program generates the same number of tokens.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from jaxllm import corpora
from jaxllm.decode import Request
from jaxllm.decode.jsonl import write_requests
from jaxllm.decode.prefixes import group_by_prefix
from jaxllm.errors import MissingData, UserError
from jaxllm.evaluators.generate_settings import GenerateSettings, resolve_tasks
from jaxllm.evaluators.questions import task_requests
from jaxllm.observe.steps import one_by_one
from jaxllm.tasks import Sample, Task, load_samples
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer


def random_requests(
    *,
    vocab_size: int,
    num_requests: int,
    prompt_tokens: tuple[int, int],
    output_tokens: tuple[int, int],
    seed: int,
) -> list[Request]:
    """Prompts of random ids; lengths and budgets are drawn evenly from ranges with both ends.

    Raises:
        UserError: a range that is empty or begins below 1, no ids, or no requests.
    """
    for name, (least, most) in (("prompt_tokens", prompt_tokens), ("output_tokens", output_tokens)):
        if not 1 <= least <= most:
            raise UserError(f"{name}={least}:{most}: a range goes upwards from 1 or more")
    if min(vocab_size, num_requests) < 1:
        raise UserError(f"vocab_size={vocab_size}, num_requests={num_requests}: at least 1 each")
    draw = np.random.default_rng(seed)
    lengths = draw.integers(*prompt_tokens, size=num_requests, endpoint=True)
    budgets = draw.integers(*output_tokens, size=num_requests, endpoint=True)
    return [
        Request(
            id=f"random-{index}",
            prompt_ids=tuple(draw.integers(vocab_size, size=length).tolist()),
            max_new_tokens=int(budget),
            ignore_eos=True,
        )
        for index, (length, budget) in enumerate(zip(lengths, budgets, strict=True))
    ]


def suite_requests(
    settings: GenerateSettings,
    tokenizer: Tokenizer,
    *,
    data_dir: str | os.PathLike[str],
    raw_dir: str | os.PathLike[str] | None = None,
    accept_noncommercial: bool = False,
) -> tuple[dict[str, list[Request]], dict[str, str]]:
    """What `GenerateEvaluator` asks with these settings, answers as long as the gold ones.

    A budget is the tokens of the gold answer and the one that ends it; stop strings are ignored
    too. Corpora that are not prepared yet are, as by `jaxllm data prepare`.

    Returns:
        The requests of each task, and why a task has none, by the task's name.
    """
    tasks = {task.name: task for task in resolve_tasks(settings)[1]}
    requests: dict[str, list[Request]] = {}
    missing: dict[str, str] = {}
    for name, progress in one_by_one("asking", list(tasks), unit="tasks"):
        task = tasks[name]
        try:
            if task.corpus in corpora.names():
                corpora.prepare(
                    [task.corpus],
                    data_dir=data_dir,
                    raw_dir=raw_dir,
                    accept_noncommercial=accept_noncommercial,
                    progress=progress,
                )
            samples = load_samples(
                task, split=settings.split, data_dir=data_dir, max_samples=settings.max_samples
            )
        except MissingData as error:
            missing[name] = str(error)
        else:
            asked = task_requests(task, samples, tokenizer, settings)
            requests[name] = [
                _as_long_as_gold(request, task, sample, tokenizer)
                for request, sample in zip(asked, samples, strict=True)
            ]
    return requests, missing


def write(args: argparse.Namespace) -> int:
    """The action of `jaxllm data requests`: writes the file and says what is in it."""
    requests = {"random": _random(args)} if args.kind == "random" else _of_suite(args)
    together = [request for some in requests.values() for request in some]
    write_requests(os.path.expanduser(args.out), together)
    _print_table(requests if len(requests) == 1 else {**requests, "all": together})
    print(f"\n{len(together):,} requests in {args.out}")
    return 0


def _random(args: argparse.Namespace) -> list[Request]:
    return random_requests(
        vocab_size=args.vocab_size,
        num_requests=args.num_requests,
        prompt_tokens=args.prompt_tokens,
        output_tokens=args.output_tokens,
        seed=args.seed,
    )


def _of_suite(args: argparse.Namespace) -> dict[str, list[Request]]:
    settings = GenerateSettings(
        suite=args.suite,
        split=args.split,
        num_shots=args.num_shots,
        max_samples=args.max_samples,
    )
    requests, missing = suite_requests(
        settings,
        load_tokenizer(os.path.expanduser(args.tokenizer)),
        data_dir=args.data_dir,
        raw_dir=args.raw_dir,
        accept_noncommercial=args.accept_noncommercial,
    )
    for name, why in missing.items():
        print(f"without {name}: {why}", file=sys.stderr)
    if not requests:
        raise UserError(f"{args.suite}: the data of none of its tasks is here")
    return {name.partition(":")[2]: asked for name, asked in requests.items()}


def _as_long_as_gold(request: Request, task: Task, sample: Sample, tokenizer: Tokenizer) -> Request:
    # Rendered behind its prompt: that is where a model writes it.
    answered = [*sample.messages, Message(role="assistant", content=sample.gold)]
    rendered = get_template(task.template, tokenizer).render(tokenizer, answered, bos=task.bos)
    budget = len(rendered.ids) - len(request.prompt_ids)
    return dataclasses.replace(
        request, max_new_tokens=budget, ignore_eos=True, stop=(), stop_ids=()
    )


def _print_table(requests: Mapping[str, Sequence[Request]]) -> None:
    lines = [("", "requests", "prompt", "output", "prompts in all", "shared once")]
    for name, asked in requests.items():
        prompts = [request.prompt_ids for request in asked]
        total = sum(map(len, prompts))
        spared = sum(group.length * (len(group.members) - 1) for group in group_by_prefix(prompts))
        lines.append(
            (
                name,
                f"{len(asked):,}",
                _spread([len(prompt) for prompt in prompts]),
                _spread([request.max_new_tokens for request in asked]),
                f"{total:,}",
                f"{total - spared:,}",
            )
        )
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    for name, *figures in lines:
        aligned = (f"{figure:>{width}}" for figure, width in zip(figures, widths, strict=True))
        print(f"{name:<{first}}  {'  '.join(aligned)}")
    print(
        "\ntokens of a prompt and of its output: least/median/most; of all prompts;\n"
        "and of what is left where beginnings that prompts share are computed once"
    )


def _spread(counts: Sequence[int]) -> str:
    return f"{min(counts)}/{statistics.median(counts):.0f}/{max(counts)}"
