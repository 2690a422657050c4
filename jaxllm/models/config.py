"""What a decoder is made of: one frozen value for Llama, Qwen and GPT-2 alike."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal

from jaxllm.errors import UserError

_DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Frequency scaling of rotary embeddings as Llama 3.1 defines it (`rope_type: llama3`).

    Wavelengths above `original_max_positions / low_freq_factor` are stretched by `factor`, those
    below `original_max_positions / high_freq_factor` stay, and those between are interpolated.
    `kind="linear"` divides every position by `factor` and ignores the other fields.
    """

    kind: Literal["llama3", "linear"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 8192

    def __post_init__(self) -> None:
        _check_choices(self, "model.rope_scaling")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters beside frozen weights: W + scale A B (arXiv 2106.09685).

    `targets` are linear layers of our tree: `attention.query`, `mlp.up`, ...; `attention.qkv` is
    one adapter over query, key and value side by side, as GPT-2's fused projection has; `embed`
    are the token embeddings, `head` is the output projection. `dropout` acts in training on what
    the layers' adapters read. `rslora` scales by alpha / sqrt(rank) (arXiv 2312.03732).
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    dropout: float = 0.0
    rslora: bool = False

    @property
    def scale(self) -> float:
        """The factor of A B."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Architecture, numerics and layout of one decoder.

    Sizes follow the Hugging Face `config.json` of the family; `head_dim` is free of
    `hidden_size / num_heads`. Nothing here names a family: Llama is RMSNorm + RoPE + a gated SiLU,
    Qwen2 adds query/key/value biases, Qwen3 norms queries and keys per head, GPT-2 is LayerNorm +
    learned positions + a plain GELU with biases everywhere.
    """

    # Sizes.
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn_size: int
    max_positions: int

    # Architecture.
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-5
    activation: Literal["silu", "gelu", "gelu_tanh"] = "silu"
    gated_mlp: bool = True
    positions: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    tie_embeddings: bool = False
    init_std: float = 0.02

    # What a tuned model adds to its base, and how that one's kernels are kept.
    lora: LoraConfig | None = None
    kernels: Literal["float", "int8"] = "float"

    # Numerics and layout: they change speed and rounding, never which function is computed.
    dtype: str = "float32"
    param_dtype: str = "float32"
    attention: Literal["auto", "xla", "cudnn", "splash"] = "auto"
    remat: Literal["none", "dots", "full"] = "dots"
    scan_unroll: int = 1

    def __post_init__(self) -> None:
        _check_choices(self, "model")
        for field in ("dtype", "param_dtype"):
            if getattr(self, field) not in _DTYPES:
                raise UserError(
                    f"model.{field}={getattr(self, field)!r} must be one of {', '.join(_DTYPES)}"
                )
        for field in ("vocab_size", "hidden_size", "num_layers", "num_heads", "num_kv_heads",
                      "head_dim", "ffn_size", "max_positions"):  # fmt: skip
            if getattr(self, field) < 1:
                raise UserError(f"model.{field} must be at least 1, not {getattr(self, field)}")
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"model.num_kv_heads={self.num_kv_heads} must divide num_heads={self.num_heads}"
            )
        if self.positions == "rope" and self.head_dim % 2:
            raise UserError(f"rotary positions need an even head_dim, not {self.head_dim}")

    def replace(self, **changes: object) -> ModelConfig:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def _check_choices(value: Any, where: str) -> None:
    for field, kind in typing.get_type_hints(type(value)).items():
        given, choices = getattr(value, field), typing.get_args(kind)
        if typing.get_origin(kind) is Literal and given not in choices:
            raise UserError(f"{where}.{field}={given!r} must be one of {', '.join(choices)}")
