"""Answer a file of prompts with a model.

    jaxllm generate --model=DIR --requests=in.jsonl --out=out.jsonl

A line of the input: `id`, one of `prompt`, `prompt_ids` and `messages`, `max_new_tokens`, and
optionally `stop`, `stop_ids`, `ignore_eos`, `temperature`, `top_p`, `top_k`, `min_p`,
`repetition_penalty`, `seed`, and `n` for more than one answer. A line of the output: `id`, `text`,
`token_ids`, `finish_reason`, `logprob`, and `sample`, its number, where `n` are wanted. A model
without a tokenizer answers `prompt_ids` alone, and its texts are empty.

Answers are kept in `out.jsonl.journal/` as they come: a run that is killed goes on where it was,
and ends with the same file. Only the same request to the same model takes an answer from there.

All devices answer, each its part of the requests; `--fsdp` and `--tensor` split a model that is too
large for one. Several processes (`jaxllm launch`, a TPU's hosts) need folders that all of them see.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from etils import epath

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.decode import Completion, Engine
from jaxllm.decode.ask import ask
from jaxllm.decode.journal import Journal
from jaxllm.decode.jsonl import read_requests, write_completions
from jaxllm.errors import UserError
from jaxllm.parallel.agreement import is_first_process
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.preemption import TERMINATED, Preempted, Preemption
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.fingerprint import model_fingerprint
from jaxllm.weights.load import load_model


def generate(
    model: str,
    requests: str,
    out: str,
    *,
    dtype: str = "float32",
    template: str = "chat",
    shape: MeshShape | None = None,
) -> list[Completion]:
    """Answers the requests of one JSONL file into another and returns the answers.

    Args:
        shape: of the mesh; None means all devices along `data`, each with all of the weights.

    Raises:
        UserError: no such model, a line that is no request, or one that the model cannot answer.
        Preempted: one of several processes was asked to go; the journal holds what there is.
    """
    place = epath.Path(out)
    if place.is_dir() or place == epath.Path(requests):
        raise UserError(f"--out={out} is a folder, or the requests themselves; name a new file")
    enable_compilation_cache()
    mesh = make_mesh(shape)
    loaded = load_model(model, dtype=dtype, mesh=mesh, needs_tokenizer=False)
    asked = read_requests(requests, loaded.tokenizer, template=template)
    engine = Engine(loaded.params, loaded.config, loaded.tokenizer, mesh=mesh)
    fingerprint = model_fingerprint(weights_digest(loaded.params), loaded.config, loaded.tokenizer)
    folder = place.with_name(f"{place.name}.journal")
    preemption = Preemption()

    def go_if_asked(new: Mapping[int, Completion]) -> None:
        preemption.raise_if_due()

    with Journal(folder, asked, Completion, fingerprint=fingerprint) as journal:
        if journal.known and is_first_process():
            print(
                f"{len(journal.known)} of {len(asked)} answers are in {folder}; "
                "delete it to ask anew",
                file=sys.stderr,
            )
        completions = ask(engine.generate, journal, title="generating", on_answers=go_if_asked)
    if is_first_process():
        write_completions(place, completions)
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
    parser.add_argument("--fsdp", type=int, default=1, help="devices that share the weights out")
    parser.add_argument("--tensor", type=int, default=1, help="devices that share every layer out")
    add_process_flags(parser)
    args = parser.parse_args(argv)
    try:
        with joined(args):
            answers = generate(
                args.model,
                args.requests,
                args.out,
                dtype=args.dtype,
                template=args.template,
                shape=MeshShape(fsdp=args.fsdp, tensor=args.tensor),
            )
            print(f"{len(answers)} answers in {args.out}")
    except Preempted:
        print("asked to end (SIGTERM): the same command goes on from here", file=sys.stderr)
        return TERMINATED
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
