"""Necessary floating-point operations of a model, counted on paper.

Compilers' own counts see a scanned layer once and count masked attention as work; these count what
the mathematics needs: 2 per multiply-add, causal attention as half a square, the output projection
only where logits are wanted.
"""

from __future__ import annotations


def matmul_flops_per_token(
    *,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    ffn_size: int,
    gated_mlp: bool,
) -> int:
    """Forward operations of all weight matrices but embedding and output projection, per token."""
    attention = hidden_size * head_dim * (2 * num_heads + 2 * num_kv_heads)
    mlp = hidden_size * ffn_size * (3 if gated_mlp else 2)
    return 2 * num_layers * (attention + mlp)


def attention_flops(lengths: list[int], *, num_layers: int, num_heads: int, head_dim: int) -> int:
    """Forward operations of causal attention over whole sequences of these lengths."""
    pairs = sum(length * (length + 1) // 2 for length in lengths)
    return 4 * num_layers * num_heads * head_dim * pairs


def logits_flops(num_positions: int, *, hidden_size: int, vocab_size: int) -> int:
    """Forward operations of the output projection at `num_positions` positions."""
    return 2 * num_positions * hidden_size * vocab_size
