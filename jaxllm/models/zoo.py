"""The architectures of the released llm-jp models, by name.

Sizes stand here so that a model of any of these shapes can be planned, tested or trained from
fresh weights without a download. To load released weights use `load_model`, which reads the sizes
from their own config.json.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """A released model's hub id and architecture.

    `inferred` names the config fields that were taken from the rest of the family, because the
    model's own config.json or training script was not seen.
    """

    hub_id: str
    config: ModelConfig
    inferred: tuple[str, ...] = ()


def get_config(name: str, **changes: object) -> ModelConfig:
    """The config of a released model, with some fields changed.

    Raises:
        UserError: there is no such model; the message names the nearest.
    """
    entry = ZOO.get(name.removeprefix("llm-jp/"))
    if entry is None:
        near = difflib.get_close_matches(name, ZOO, n=3, cutoff=0.4) or list(ZOO)
        raise UserError(f"no released model is called {name!r}; nearest: {', '.join(near)}")
    return entry.config.replace(**changes)


def _gpt2(*, hidden_size: int, num_layers: int, num_heads: int) -> ModelConfig:
    # v1.0: the exact (erf) GELU, tied embeddings, 2048 learned positions.
    return ModelConfig(
        vocab_size=50_688,
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=hidden_size // num_heads,
        ffn_size=4 * hidden_size,
        max_positions=2048,
        norm="layer",
        activation="gelu",
        gated_mlp=False,
        positions="learned",
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        tie_embeddings=True,
    )


def _llama(
    *,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    ffn_size: int,
    num_kv_heads: int | None = None,
    head_dim: int = 128,
    vocab_size: int = 99_584,
    max_positions: int = 4096,
    rope_theta: float = 10_000.0,
    norm_eps: float = 1e-5,
) -> ModelConfig:
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads if num_kv_heads is None else num_kv_heads,
        head_dim=head_dim,
        ffn_size=ffn_size,
        max_positions=max_positions,
        rope_theta=rope_theta,
        norm_eps=norm_eps,
    )


_V3_1_8B = _llama(hidden_size=2048, num_layers=24, num_heads=16, ffn_size=7168)
_13B = {"hidden_size": 5120, "num_layers": 40, "num_heads": 40, "ffn_size": 13824}
_V4: dict[str, Any] = {
    "num_kv_heads": 8,
    "vocab_size": 196_608,
    "max_positions": 65_536,
    "rope_theta": 500_000.0,
}

ZOO: dict[str, ZooEntry] = {
    "llm-jp-1.3b-v1.0": ZooEntry(
        hub_id="llm-jp/llm-jp-1.3b-v1.0",
        config=_gpt2(hidden_size=2048, num_layers=24, num_heads=16),
    ),
    "llm-jp-13b-v1.0": ZooEntry(
        hub_id="llm-jp/llm-jp-13b-v1.0",
        config=_gpt2(hidden_size=5120, num_layers=40, num_heads=40),
    ),
    "llm-jp-13b-v2.0": ZooEntry(
        hub_id="llm-jp/llm-jp-13b-v2.0",
        config=_llama(**_13B, vocab_size=97_024),
    ),
    "llm-jp-3-150m": ZooEntry(
        hub_id="llm-jp/llm-jp-3-150m",
        config=_llama(hidden_size=512, num_layers=12, num_heads=8, ffn_size=2048, head_dim=64),
        inferred=("rope_theta",),
    ),
    "llm-jp-3-440m": ZooEntry(
        hub_id="llm-jp/llm-jp-3-440m",
        config=_llama(hidden_size=1024, num_layers=16, num_heads=8, ffn_size=3584),
    ),
    "llm-jp-3-980m": ZooEntry(
        hub_id="llm-jp/llm-jp-3-980m",
        config=_llama(hidden_size=1536, num_layers=20, num_heads=8, ffn_size=5376, head_dim=192),
        inferred=("rope_theta",),
    ),
    "llm-jp-3-1.8b": ZooEntry(hub_id="llm-jp/llm-jp-3-1.8b", config=_V3_1_8B),
    "llm-jp-3-3.7b": ZooEntry(
        hub_id="llm-jp/llm-jp-3-3.7b",
        config=_llama(hidden_size=3072, num_layers=28, num_heads=24, ffn_size=8192),
        inferred=("rope_theta",),
    ),
    "llm-jp-3-7.2b": ZooEntry(
        hub_id="llm-jp/llm-jp-3-7.2b",
        config=_llama(hidden_size=4096, num_layers=32, num_heads=32, ffn_size=11008),
        inferred=("rope_theta",),
    ),
    "llm-jp-3-13b": ZooEntry(hub_id="llm-jp/llm-jp-3-13b", config=_llama(**_13B)),
    "llm-jp-3-172b": ZooEntry(
        hub_id="llm-jp/llm-jp-3-172b",
        config=_llama(
            hidden_size=12288,
            num_layers=96,
            num_heads=96,
            num_kv_heads=16,
            ffn_size=38464,
            vocab_size=99_840,
        ),
    ),
    # The cards of 3.1 count 99,487 embedding rows, the tokenizer's; rows here are padded as in 3.
    "llm-jp-3.1-1.8b": ZooEntry(
        hub_id="llm-jp/llm-jp-3.1-1.8b", config=_V3_1_8B, inferred=("vocab_size",)
    ),
    "llm-jp-3.1-13b": ZooEntry(
        hub_id="llm-jp/llm-jp-3.1-13b", config=_llama(**_13B), inferred=("vocab_size",)
    ),
    # Pre-training used eps 1e-6; a later training script for the 8b says 1e-5.
    "llm-jp-4-8b": ZooEntry(
        hub_id="llm-jp/llm-jp-4-8b-base",
        config=_llama(
            hidden_size=4096, num_layers=32, num_heads=32, ffn_size=14336, norm_eps=1e-6, **_V4
        ),
        inferred=("rope_theta", "norm_eps"),
    ),
    "llm-jp-4-33b": ZooEntry(
        hub_id="llm-jp/llm-jp-4-33b-base",
        config=_llama(
            hidden_size=5120, num_layers=64, num_heads=40, ffn_size=27648, norm_eps=1e-6, **_V4
        ),
        inferred=("hub_id", "max_positions", "rope_theta", "norm_eps"),
    ),
}
