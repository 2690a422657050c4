"""The least time in which a device could answer a set of requests, from its measured peaks.

Prefill is bound by arithmetic: every token that no other request shares, once. Decoding is bound by
memory as long as few rows run: each step reads all weights, and every row its keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxllm.observe.flops import Sizes, attention_flops, logits_flops, matmul_flops_per_token


def decode_roofline(
    sizes: Sizes,
    *,
    prefilled_tokens: int,
    prompt_lengths: Sequence[int],
    answer_lengths: Sequence[int],
    rows: int,
    weight_bytes: int,
    bytes_per_number: int,
    flops_per_s: float,
    bytes_per_s: float,
) -> float:
    """Seconds at the peaks: arithmetic of all prefills, then the slower resource of each step.

    Args:
        prefilled_tokens: tokens that were run once, prefixes once for all that share them.
        rows: how many requests a step may hold.
        weight_bytes: of the weights that a step reads: layers and output projection.
        bytes_per_number: of cached keys and values.
    """
    per_token, logits = matmul_flops_per_token(sizes), logits_flops(sizes, 1)
    # Shares of attention over a common prefix are not known here; they are left out.
    attention = attention_flops(sizes, prompt_lengths)
    shared = prefilled_tokens / max(1, sum(prompt_lengths))
    prefill = prefilled_tokens * per_token + attention * shared + len(prompt_lengths) * logits

    # The first token of an answer comes from the prefill.
    steps = [max(0, answer - 1) for answer in answer_lengths]
    contexts = sum(
        count * prompt + count * (count + 1) // 2
        for prompt, count in zip(prompt_lengths, steps, strict=True)
    )
    keys = 2 * sizes.num_layers * sizes.num_kv_heads * sizes.head_dim * bytes_per_number
    num_steps = max(math.ceil(sum(steps) / rows), max(steps, default=0))
    reads = num_steps * weight_bytes + contexts * keys
    decode_flops = sum(steps) * (per_token + logits)
    decode = max(reads / bytes_per_s, decode_flops / flops_per_s)
    return prefill / flops_per_s + decode
