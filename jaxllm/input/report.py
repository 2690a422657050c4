"""Say what a run is about to train on: counts, lengths, what was dropped, how full the rows are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.box
from rich.console import Console
from rich.table import Table

from jaxllm.input.mixture import Mixture
from jaxllm.text.spans import Rendered, describe
from jaxllm.text.tokenizer import Tokenizer

_BAR_WIDTH = 40
_TEXT_SHOWN = 500  # characters from each end
_COUNTS = {
    "examples_read": "read",
    "examples": "kept",
    "held_out": "held out",
    "truncated": "truncated",
    "dropped_long": "too long",
    "dropped_untrained": "untrained",
}


def describe_input(mixture: Mixture) -> dict[str, Any]:
    """Returns the facts of the input as plain values, fit for JSON.

    Per source and in total: examples read, kept, held out, truncated and dropped, tokens, the share
    of them that is trained, the share of the plan's draws and of the tokens drawn. Of the plan:
    steps, epochs, padding share, digest. `length_histogram` maps an upper bound in tokens (a power
    of two) to examples, `missing` a source that is left out to where it can be had.
    """
    plan, tokenized = mixture.plan, mixture.sources
    drawn = np.bincount(plan.source_ids, minlength=len(tokenized))
    drawn_tokens = np.array(
        [
            np.sum(source.lengths[plan.example_ids[plan.source_ids == index]])
            for index, source in enumerate(tokenized)
        ]
    )
    sources: list[dict[str, Any]] = [
        {
            "name": source.name,
            "examples_read": source.counts.read,
            "examples": source.counts.kept,
            "held_out": source.counts.held_out,
            "truncated": source.counts.truncated,
            "dropped_long": source.counts.dropped_long,
            "dropped_untrained": source.counts.dropped_untrained,
            "tokens": len(source.ids),
            "trained_share": source.num_trained_tokens / len(source.ids),
            "draw_share": int(count) / len(plan.source_ids),
            "token_share": int(num_tokens) / int(drawn_tokens.sum()),
        }
        for source, count, num_tokens in zip(tokenized, drawn, drawn_tokens, strict=True)
    ]
    tokens = sum(source["tokens"] for source in sources)
    trained = sum(source.num_trained_tokens for source in tokenized)
    return {
        "sources": sources,
        "examples": sum(source["examples"] for source in sources),
        "tokens": tokens,
        "trained_share": trained / tokens,
        "length_histogram": _histogram(np.concatenate([source.lengths for source in tokenized])),
        "packing": plan.packing,
        "steps": plan.num_steps,
        "epochs": float(plan.step_epochs[-1]),
        "rows_per_step": plan.rows_per_step,
        "row_length": plan.row_length,
        "padding_share": plan.padding_share,
        "digest": plan.digest,
        "missing": dict(mixture.missing),
    }


def _histogram(lengths: np.ndarray) -> dict[int, int]:
    exponents = np.ceil(np.log2(lengths)).astype(np.int64)
    counts = np.bincount(exponents)
    return {2**e: int(counts[e]) for e in range(int(exponents.min()), len(counts))}


def format_input(facts: dict[str, Any]) -> str:
    """Returns the facts of `describe_input` as text of some 20 lines for a terminal or a log."""
    table = Table(box=rich.box.SIMPLE_HEAD, title="Training data", title_justify="left")
    table.add_column("source", no_wrap=True)
    for column in (*_COUNTS.values(), "tokens", "trained", "of draws", "of tokens"):
        table.add_column(column, justify="right")
    for source in facts["sources"]:
        table.add_row(
            source["name"],
            *(f"{source[name]:,}" for name in _COUNTS),
            f"{source['tokens']:,}",
            *(f"{source[name]:.1%}" for name in ("trained_share", "draw_share", "token_share")),
        )
    text = io.StringIO()
    Console(file=text, width=120, no_color=True).print(table)
    lines = [line.rstrip() for line in text.getvalue().strip("\n").splitlines()]
    examples = (
        f"{facts['examples']:,} examples, {facts['tokens']:,} tokens, "
        f"{facts['trained_share']:.1%} of them trained"
    )
    plan = (
        f"plan: {facts['steps']:,} steps of {facts['rows_per_step']} rows of "
        f"{facts['row_length']} positions, {facts['epochs']:.2f} epochs, packing "
        f"{facts['packing']}, {facts['padding_share']:.1%} padding"
    )
    bars = _bars(facts["length_histogram"])
    if facts["missing"]:
        lines.append(f"left out, for they are not here: {', '.join(facts['missing'])}")
    return "\n".join([*lines, examples, "tokens per example:", *bars, plan])


def format_examples(examples: Sequence[tuple[str, Rendered]], tokenizer: Tokenizer) -> str:
    """Returns examples as they are trained on, where each came from above it; long ones cut."""
    lines = ["examples, what is trained in double brackets:"]
    for origin, rendered in examples:
        trained = int(np.count_nonzero(rendered.loss_weights > 0))
        lines.append(f"--- {origin} ({len(rendered.ids):,} tokens, {trained:,} trained)")
        text = describe(tokenizer, rendered)
        if len(text) > 2 * _TEXT_SHOWN:
            cut = f" ... {len(text) - 2 * _TEXT_SHOWN:,} characters ... "
            text = text[:_TEXT_SHOWN] + cut + text[-_TEXT_SHOWN:]
        lines.append(text)
    return "\n".join([*lines, "---"])


def _bars(histogram: dict[int, int]) -> list[str]:
    most = max(histogram.values())
    return [
        f"  <= {bound:>6,} {'#' * -(-_BAR_WIDTH * count // most):<{_BAR_WIDTH}} {count:,}"
        for bound, count in histogram.items()
    ]
