"""The least time in which a device could answer a set of requests, from its measured peaks.

Prefill is bound by arithmetic: every token that no other request shares, once. Decoding is bound by
memory as long as few rows run: each step reads all weights, and every row its keys and values.
"""

from __future__ import annotations

import dataclasses
import math

from jaxllm.observe.flops import attention_flops, logits_flops, matmul_flops_per_token


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """The sizes that the count needs; `weight_bytes` are those of a step: layers and head."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn_size: int
    gated_mlp: bool
    vocab_size: int
    weight_bytes: int
    cache_bytes_per_number: int


def decode_roofline(
    architecture: Architecture,
    *,
    prefilled_tokens: int,
    prompt_lengths: list[int],
    answer_lengths: list[int],
    rows: int,
    flops_per_s: float,
    bytes_per_s: float,
) -> float:
    """Seconds at the peaks: arithmetic of all prefills, then the slower resource of each step.

    Args:
        prefilled_tokens: tokens that were run once, prefixes once for all that share them.
        rows: how many requests a step may hold.
    """
    a = architecture
    per_token = matmul_flops_per_token(
        hidden_size=a.hidden_size,
        num_layers=a.num_layers,
        num_heads=a.num_heads,
        num_kv_heads=a.num_kv_heads,
        head_dim=a.head_dim,
        ffn_size=a.ffn_size,
        gated_mlp=a.gated_mlp,
    )
    logits = logits_flops(1, hidden_size=a.hidden_size, vocab_size=a.vocab_size)
    # Shares of attention over a common prefix are not known here; they are left out.
    attention = attention_flops(
        prompt_lengths, num_layers=a.num_layers, num_heads=a.num_heads, head_dim=a.head_dim
    )
    shared = prefilled_tokens / max(1, sum(prompt_lengths))
    prefill = prefilled_tokens * per_token + attention * shared + len(prompt_lengths) * logits

    # The first token of an answer comes from the prefill.
    steps = [max(0, answer - 1) for answer in answer_lengths]
    contexts = sum(
        count * prompt + count * (count + 1) // 2
        for prompt, count in zip(prompt_lengths, steps, strict=True)
    )
    keys = 2 * a.num_layers * a.num_kv_heads * a.head_dim * a.cache_bytes_per_number
    num_steps = max(math.ceil(sum(steps) / rows), max(steps, default=0))
    reads = num_steps * a.weight_bytes + contexts * keys
    decode_flops = sum(steps) * (per_token + logits)
    decode = max(reads / bytes_per_s, decode_flops / flops_per_s)
    return prefill / flops_per_s + decode
