"""Measure the speed of training, decoding and metrics on this machine.

jaxllm bench train --model=DIR --data=pairs.jsonl --json
jaxllm bench decode --model=DIR --requests=requests.jsonl --json
jaxllm bench metrics --json
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import psutil

from jaxllm.bench_train import bench_train
from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.corpora.mini.text import facts
from jaxllm.decode import Engine
from jaxllm.decode.jsonl import read_requests
from jaxllm.metrics import get_metric
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import abstract_params
from jaxllm.observe.memory import peak_rss_mb
from jaxllm.observe.peaks import matmul_peak, read_bandwidth
from jaxllm.observe.roofline import decode_roofline
from jaxllm.verb import run_verb
from jaxllm.weights.load import load_model


def bench_decode(model: str, requests: str, *, dtype: str) -> dict[str, Any]:
    """All requests of a file, after a run that compiles; greedy or as the requests say.

    A model without a tokenizer will do where all requests are `prompt_ids`.

    Returns:
        `startup_s` runs from the start of this process, imports included, to the first answer;
        `prefill_padding` is the share of prefilled positions without a token, `idle_slot_share`
        that of decode steps times rows with nothing to decode; `roofline_ratio` is the least time
        at the peaks measured in this run over the time taken.
    """
    loaded = load_model(model, dtype=dtype, needs_tokenizer=False)
    asked = read_requests(requests, loaded.tokenizer)
    engine = Engine(loaded.params, loaded.config, loaded.tokenizer)
    engine.generate(asked[:1])
    startup = time.time() - psutil.Process().create_time()
    engine.generate(asked)
    engine.reset_stats()
    clock = time.monotonic()
    answers = engine.generate(asked)
    seconds = time.monotonic() - clock
    stats, lengths = engine.stats, [len(answer.token_ids) for answer in answers]
    peak, bandwidth = matmul_peak(dtype), read_bandwidth()
    least = decode_roofline(
        loaded.config,
        prefilled_tokens=stats.prefix_tokens + stats.own_tokens,
        prompt_lengths=[len(request.prompt_ids) for request in asked],
        answer_lengths=lengths,
        rows=engine.max_rows,
        weight_bytes=_step_bytes(loaded.config),
        bytes_per_number=jnp.dtype(engine.cache_dtype).itemsize,
        flops_per_s=peak,
        bytes_per_s=bandwidth,
    )
    return {
        "requests_per_s": round(len(asked) / seconds, 3),
        "generated_tokens_per_s": round(sum(lengths) / seconds, 1),
        "prompt_tokens": stats.prompt_tokens,
        "prefilled_tokens": stats.prefix_tokens + stats.own_tokens,
        "generated_tokens": sum(lengths),
        "seconds": round(seconds, 3),
        "startup_s": round(startup, 2),
        "prefill_padding": round(stats.prefill_padding, 4),
        "idle_slot_share": round(stats.idle_slot_share, 4),
        "roofline_ratio": round(least / seconds, 4),
        "peak_gflops": round(peak / 1e9, 1),
        "read_gb_per_s": round(bandwidth / 1e9, 1),
        "peak_rss_mb": round(peak_rss_mb()),
        **_about(dtype),
    }


def bench_metrics(names: Sequence[str], *, pairs: int, characters: int) -> dict[str, Any]:
    """Seconds that each metric takes for `pairs` pairs of Japanese texts of so many characters.

    The texts are facts of the embedded suite in random order, so that a pair shares words.
    """
    draw = random.Random(0)

    def text() -> str:
        parts = ""
        while len(parts) < characters:
            parts += facts(draw)
        return parts[:characters]

    predictions, references = ([text() for _ in range(pairs)] for _ in range(2))
    figures: dict[str, Any] = {"pairs": pairs, "characters": characters}
    for name in names:
        metric = get_metric(name)
        clock = time.monotonic()
        figures[f"{name}_mean"] = round(metric(predictions, references).mean, 6)
        figures[f"{name}_s"] = round(time.monotonic() - clock, 3)
    return figures | {"peak_rss_mb": round(peak_rss_mb())}


def _step_bytes(config: ModelConfig) -> int:
    layers = sum(
        math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract_params(config)["blocks"])
    )
    head = config.hidden_size * config.vocab_size
    return (layers + head) * jnp.dtype(config.dtype).itemsize


def _about(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "device": jax.devices()[0].device_kind, "jax": jax.__version__}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm bench`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm bench",
        description="Measure the speed of training, decoding and metrics on this machine.",
        epilog="example: jaxllm bench train --model=runs/smollm2 --data=pairs.jsonl --json",
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    train = kinds.add_parser("train", help="completion-only SFT on lines of prompt, completion")
    train.add_argument("--data", required=True, help="JSONL of prompt, completion")
    train.add_argument("--rows", type=int, default=8, help="packed rows of a step")
    train.add_argument("--length", type=int, default=512, help="positions of a row")
    train.add_argument("--max_steps", type=int, default=0, help="0: the whole epoch")
    decode = kinds.add_parser("decode", help="the requests of a file")
    decode.add_argument("--requests", required=True, help="JSONL as for jaxllm generate")
    metrics = kinds.add_parser("metrics", help="metrics over pairs of random Japanese texts")
    metrics.add_argument("names", nargs="*", default=["char_f1", "rougeL"], metavar="METRIC")
    metrics.add_argument("--pairs", type=int, default=10_000)
    metrics.add_argument("--characters", type=int, default=400, help="of each text")
    metrics.add_argument("--json", action="store_true", help="print one JSON object")
    for kind in (train, decode):
        kind.add_argument("--model", required=True, help="folder, hub id, .gguf file or checkpoint")
        kind.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
        kind.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    if args.kind == "metrics":
        figures = bench_metrics(args.names, pairs=args.pairs, characters=args.characters)
    elif args.kind == "train":
        enable_compilation_cache()
        figures = bench_train(
            args.model,
            args.data,
            rows=args.rows,
            length=args.length,
            max_steps=args.max_steps,
            dtype=args.dtype,
        ) | _about(args.dtype)
    else:
        enable_compilation_cache()
        figures = bench_decode(args.model, args.requests, dtype=args.dtype)
    if args.json:
        print(json.dumps(figures))
    else:
        width = max(map(len, figures))
        print("\n".join(f"{name:{width}}  {value}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
