"""Necessary floating-point operations of a model, counted on paper.

Compilers' own counts see a scanned layer once and count masked attention as work; these count what
the mathematics needs: 2 per multiply-add, causal attention as half a square, the output projection
only where logits are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Sizes(Protocol):
    """What is counted of an architecture; `jaxllm.models.config.ModelConfig` has it all."""

    @property
    def hidden_size(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def num_heads(self) -> int: ...
    @property
    def num_kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def ffn_size(self) -> int: ...
    @property
    def gated_mlp(self) -> bool: ...
    @property
    def vocab_size(self) -> int: ...


def matmul_flops_per_token(sizes: Sizes) -> int:
    """Forward operations of all weight matrices but embedding and output projection, per token."""
    attention = sizes.hidden_size * sizes.head_dim * 2 * (sizes.num_heads + sizes.num_kv_heads)
    mlp = sizes.hidden_size * sizes.ffn_size * (3 if sizes.gated_mlp else 2)
    return 2 * sizes.num_layers * (attention + mlp)


def attention_flops(sizes: Sizes, lengths: Sequence[int]) -> int:
    """Forward operations of causal attention over whole sequences of these lengths."""
    pairs = sum(length * (length + 1) // 2 for length in lengths)
    return 4 * sizes.num_layers * sizes.num_heads * sizes.head_dim * pairs


def logits_flops(sizes: Sizes, num_positions: int) -> int:
    """Forward operations of the output projection at `num_positions` positions."""
    return 2 * num_positions * sizes.hidden_size * sizes.vocab_size
