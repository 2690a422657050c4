"""Answer a file of prompts with a model.

    jaxllm generate --model=DIR --requests=in.jsonl --out=out.jsonl

A line of the input: `id`, one of `prompt`, `prompt_ids` and `messages`, `max_new_tokens`, and
optionally `stop`, `ignore_eos`, `temperature`, `top_p`, `seed`. A line of the output: `id`, `text`,
`token_ids`, `finish_reason`, `logprob`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from etils import epath

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.decode import Completion, Engine, Request
from jaxllm.errors import UserError
from jaxllm.observe.progress import Progress
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.load import load_model

_PROMPT_FIELDS = ("prompt", "prompt_ids", "messages")
_OPTIONAL = {
    "stop": (list, tuple),
    "ignore_eos": (bool,),
    "temperature": (int, float),
    "top_p": (int, float),
    "seed": (int,),
}


def read_requests(
    path: str | os.PathLike[str], tokenizer: Tokenizer, *, template: str = "chat"
) -> list[Request]:
    """The requests of a JSONL file; `messages` are rendered with `template`.

    Raises:
        UserError: a line that is no request, naming file, line and field.
    """
    path = epath.Path(path)
    if not path.exists():
        raise UserError(f"there is no request file {path}")
    requests = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            requests.append(_request(json.loads(line), tokenizer, template))
        except (KeyError, ValueError, TypeError, UserError) as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    if not requests:
        raise UserError(f"{path} holds no request")
    return requests


def write_completions(path: str | os.PathLike[str], completions: Sequence[Completion]) -> None:
    """One JSON line an answer; the file appears whole or not at all."""
    path = epath.Path(path)
    lines = [json.dumps(dataclasses.asdict(item), ensure_ascii=False) for item in completions]
    partial = path.parent / f"{path.name}.partial"
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def generate(
    model: str, requests: str, out: str, *, dtype: str = "float32", template: str = "chat"
) -> list[Completion]:
    """Answers the requests of one JSONL file into another and returns the answers."""
    enable_compilation_cache()
    loaded = load_model(model, dtype=dtype)
    asked = read_requests(requests, loaded.tokenizer, template=template)
    engine = Engine(loaded.params, loaded.config, loaded.tokenizer)
    with Progress("generating", total=len(asked), unit="requests") as bar:
        completions = engine.generate(asked, on_answers=lambda done: bar.update(len(done)))
    write_completions(out, completions)
    return completions


def _request(record: Any, tokenizer: Tokenizer, template: str) -> Request:
    if not isinstance(record, dict):
        raise UserError("a request is a JSON object")
    unknown = set(record) - {"id", "max_new_tokens", *_PROMPT_FIELDS, *_OPTIONAL}
    if unknown:
        raise UserError(f"unknown field {sorted(unknown)[0]!r}")
    if sum(field in record for field in _PROMPT_FIELDS) != 1:
        raise UserError(f"give exactly one of {', '.join(_PROMPT_FIELDS)}")
    if "id" not in record or not isinstance(record.get("max_new_tokens"), int):
        raise UserError("a request needs an id and max_new_tokens, a whole number")
    for field, kinds in _OPTIONAL.items():
        if field in record and not isinstance(record[field], kinds):
            raise UserError(f"{field} must be {' or '.join(kind.__name__ for kind in kinds)}")
    options: dict[str, Any] = {field: record[field] for field in _OPTIONAL if field in record}
    if "stop" in options:
        options["stop"] = tuple(options["stop"])
    if "prompt_ids" in record:
        prompt_ids = [int(token) for token in record["prompt_ids"]]
    else:
        is_chat = "messages" in record
        turns = record["messages"] if is_chat else [{"role": "user", "content": record["prompt"]}]
        messages = [Message(role=turn["role"], content=turn["content"]) for turn in turns]
        chosen = get_template(template if is_chat else "plain", tokenizer)
        prompt_ids = chosen.prompt_ids(tokenizer, messages, bos="auto").tolist()
        options["stop_ids"] = chosen.stop_ids(tokenizer)
    return Request(
        id=str(record["id"]),
        prompt_ids=tuple(prompt_ids),
        max_new_tokens=record["max_new_tokens"],
        **options,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm generate`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm generate",
        description="Answer a file of prompts with a model.",
        epilog="example: jaxllm generate --model=runs/smoke --requests=in.jsonl --out=out.jsonl",
    )
    parser.add_argument("--model", required=True, help="folder, hub id, .gguf file or checkpoint")
    parser.add_argument("--requests", required=True, help="JSONL in")
    parser.add_argument("--out", required=True, help="JSONL out")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--template", default="chat", help="how `messages` are rendered")
    args = parser.parse_args(argv)
    answers = generate(
        args.model, args.requests, args.out, dtype=args.dtype, template=args.template
    )
    print(f"{len(answers)} answers in {args.out}")
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
