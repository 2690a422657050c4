"""One table per family: a Hugging Face tensor's name, and where its numbers lie in our tree.

A row of the table is one weight of the tree. A stacked weight [L, ...] is one tensor per layer in
a file; GPT-2's `c_attn` holds query, key and value side by side and fills three rows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig

_NUM_LISTED = 5  # how many missing or unexpected tensors an error names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Where one weight of our tree lies in a Hugging Face checkpoint.

    `name` holds `{layer}` where the weight is stacked. `transposed` says the file has [out, in]
    where we have [in, out]. `part` of `num_parts` is this weight's share of the tensor's last
    dimension (of its only one, for a bias).
    """

    path: tuple[str, ...]
    name: str
    transposed: bool = False
    part: int = 0
    num_parts: int = 1

    @property
    def stacked(self) -> bool:
        """Whether the weight has a leading layer axis."""
        return self.path[0] == "blocks"

    def names(self, num_layers: int) -> list[str]:
        """The tensor's name in the file, for every layer."""
        if not self.stacked:
            return [self.name]
        return [self.name.format(layer=layer) for layer in range(num_layers)]

    def file_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the tensor in the file, from the shape in our tree."""
        shape = shape[1:] if self.stacked else shape
        if self.transposed:
            shape = shape[::-1]
        return (*shape[:-1], shape[-1] * self.num_parts)


def table(config: ModelConfig) -> tuple[Row, ...]:
    """The rows of a model, in the order its files are written: embeddings, layers, norm, head."""
    return _gpt2_rows(config) if config.positions == "learned" else _llama_rows(config)


def check_complete(
    config: ModelConfig,
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    *,
    where: str,
) -> None:
    """Check that a checkpoint holds the model's tensors, all of them and nothing else.

    `expected` and `found` map tensor names to shapes.

    Raises:
        UserError: tensors are missing, unexpected, or of another shape; it lists the first few.
    """
    problems = []
    missing = [name for name in expected if name not in found]
    if missing:
        problems.append("missing " + _listed(missing, expected))
    unexpected = [name for name in found if name not in expected and not is_inert(config, name)]
    if unexpected:
        problems.append("unexpected " + _listed(unexpected, found))
    differing = [name for name in expected if name in found and found[name] != expected[name]]
    if differing:
        lines = [
            f"{name} is {list(found[name])}, the config says {list(expected[name])}"
            for name in differing[:_NUM_LISTED]
        ]
        problems.append(f"{len(differing)} of another shape: " + "; ".join(lines))
    if problems:
        raise UserError(
            f"{where}: the weights do not fit the model its config describes: "
            + ". ".join(problems)
        )


def is_inert(config: ModelConfig, name: str) -> bool:
    """Whether a tensor outside the table may be there: a buffer, or a tied head's copy."""
    if name == "lm_head.weight":
        return config.tie_embeddings
    if config.positions == "learned":
        return re.fullmatch(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias", name) is not None
    return name.endswith("rotary_emb.inv_freq")


def _llama_rows(config: ModelConfig) -> tuple[Row, ...]:
    # Llama, Mistral, Qwen2 and Qwen3 share their names; what a config lacks has no row.
    prefix = "model.layers.{layer}."
    linears = {
        ("attention", "query"): ("self_attn.q_proj", config.qkv_bias),
        ("attention", "key"): ("self_attn.k_proj", config.qkv_bias),
        ("attention", "value"): ("self_attn.v_proj", config.qkv_bias),
        ("attention", "out"): ("self_attn.o_proj", config.out_bias),
        ("mlp", "gate"): ("mlp.gate_proj", config.mlp_bias),
        ("mlp", "up"): ("mlp.up_proj", config.mlp_bias),
        ("mlp", "down"): ("mlp.down_proj", config.mlp_bias),
    }
    norms: dict[tuple[str, ...], str] = {
        ("attention_norm",): "input_layernorm",
        ("mlp_norm",): "post_attention_layernorm",
    }
    if config.qk_norm:
        norms[("attention", "query_norm")] = "self_attn.q_norm"
        norms[("attention", "key_norm")] = "self_attn.k_norm"
    rows = [Row(path=("embed", "tokens"), name="model.embed_tokens.weight")]
    for path, (name, bias) in linears.items():
        base = ("blocks", *path)
        rows.append(Row(path=(*base, "kernel"), name=f"{prefix}{name}.weight", transposed=True))
        if bias:
            rows.append(Row(path=(*base, "bias"), name=f"{prefix}{name}.bias"))
    for path, name in norms.items():
        rows.append(Row(path=("blocks", *path, "scale"), name=f"{prefix}{name}.weight"))
    rows.append(Row(path=("final_norm", "scale"), name="model.norm.weight"))
    return (*rows, *_head_rows(config))


def _gpt2_rows(config: ModelConfig) -> tuple[Row, ...]:
    # Linear layers are Conv1D there: [in, out], as ours.
    prefix = "transformer.h.{layer}."
    linears = {
        ("attention", "query"): ("attn.c_attn", 0, 3),
        ("attention", "key"): ("attn.c_attn", 1, 3),
        ("attention", "value"): ("attn.c_attn", 2, 3),
        ("attention", "out"): ("attn.c_proj", 0, 1),
        ("mlp", "up"): ("mlp.c_fc", 0, 1),
        ("mlp", "down"): ("mlp.c_proj", 0, 1),
    }
    rows = [
        Row(path=("embed", "tokens"), name="transformer.wte.weight"),
        Row(path=("embed", "positions"), name="transformer.wpe.weight"),
    ]
    for path, (name, part, num_parts) in linears.items():
        for ours, theirs in (("kernel", "weight"), ("bias", "bias")):
            rows.append(
                Row(
                    path=("blocks", *path, ours),
                    name=f"{prefix}{name}.{theirs}",
                    part=part,
                    num_parts=num_parts,
                )
            )
    norms = {
        ("blocks", "attention_norm"): f"{prefix}ln_1",
        ("blocks", "mlp_norm"): f"{prefix}ln_2",
        ("final_norm",): "transformer.ln_f",
    }
    for path, name in norms.items():
        rows.append(Row(path=(*path, "scale"), name=f"{name}.weight"))
        rows.append(Row(path=(*path, "bias"), name=f"{name}.bias"))
    return (*rows, *_head_rows(config))


def _head_rows(config: ModelConfig) -> tuple[Row, ...]:
    if config.tie_embeddings:
        return ()
    return (Row(path=("head", "kernel"), name="lm_head.weight", transposed=True),)


def _listed(names: Iterable[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    names = list(names)
    first = ", ".join(f"{name} {list(shapes[name])}" for name in names[:_NUM_LISTED])
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}: {first}" + (
        ", ..." if len(names) > _NUM_LISTED else ""
    )
