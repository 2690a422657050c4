"""Answer a file of prompts with a model.

    jaxllm generate --model=DIR --requests=in.jsonl --out=out.jsonl

A line of the input: `id`, one of `prompt`, `prompt_ids` and `messages`, `max_new_tokens`, and
optionally `stop`, `stop_ids`, `ignore_eos`, `temperature`, `top_p`, `top_k`, `min_p`,
`repetition_penalty`, `seed`. A line of the output: `id`, `text`, `token_ids`, `finish_reason`,
`logprob`. A model without a tokenizer answers `prompt_ids` alone, and its texts are empty.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.decode import Completion, Engine
from jaxllm.decode.jsonl import read_requests, write_completions
from jaxllm.observe.progress import Progress
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.load import load_model


def generate(
    model: str, requests: str, out: str, *, dtype: str = "float32", template: str = "chat"
) -> list[Completion]:
    """Answers the requests of one JSONL file into another and returns the answers."""
    enable_compilation_cache()
    loaded = load_model(model, dtype=dtype, needs_tokenizer=False)
    asked = read_requests(requests, loaded.tokenizer, template=template)
    engine = Engine(loaded.params, loaded.config, loaded.tokenizer)
    with Progress("generating", total=len(asked), unit="requests") as bar:
        completions = engine.generate(asked, on_answers=lambda done: bar.update(len(done)))
    write_completions(out, completions)
    return completions


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
