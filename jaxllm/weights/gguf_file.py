"""Llama models in GGUF files: weights dequantized tensor by tensor, config, tokenizer.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Its Llama files hold the rows of
the query and key projections permuted for rotary embeddings of neighbouring channels; here they
are put back into the half-split order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig, RopeScaling
from jaxllm.text.gguf_tokenizer import tokenizer_from_gguf_fields
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.tensors import TensorInfo

_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# `llama.*` fields that are read, or that change nothing.
_KNOWN_FIELDS = frozenset(
    """
    block_count context_length embedding_length feed_forward_length vocab_size
    attention.head_count attention.head_count_kv attention.layer_norm_rms_epsilon
    attention.key_length attention.value_length rope.freq_base rope.dimension_count
    rope.scaling.type rope.scaling.factor rope.scaling.finetuned
    rope.scaling.original_context_length tensor_data_layout
    """.split()
)


class GgufFile:
    """A GGUF file's config and tokenizer, and its tensors under their Hugging Face names.

    Raises:
        UserError: the file is no GGUF, is not of the llama architecture, or has settings or tensor
            types that are not implemented.
    """

    def __init__(self, path: epath.PathLike) -> None:
        self.where = str(Path(epath.Path(path)))
        try:
            reader = gguf.GGUFReader(self.where)
        except (ValueError, IndexError, OSError) as error:
            raise UserError(f"{self.where} is cut short or no GGUF file ({error})") from error
        self._fields = reader.fields
        architecture = self._field("general.architecture")
        if architecture != "llama":
            raise UserError(
                f"{self.where} holds architecture {architecture!r}; of GGUF files only llama is "
                "read: load this model from its Hugging Face folder"
            )
        self._stored = {_hf_name(tensor.name): tensor for tensor in reader.tensors}
        if "rope_freqs.weight" in self._stored:
            raise UserError(
                f"{self.where} scales its rotary embeddings by a table (rope_freqs.weight), which "
                "is not implemented: load this model from its Hugging Face folder"
            )
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(shape=tuple(map(int, reversed(t.shape))), dtype=_dtype(t))
            for name, t in self._stored.items()
        }
        self.config = self._read_config()

    def read(self, name: str) -> np.ndarray:
        """The tensor, dequantized, with query and key rows in the half-split order."""
        tensor, info = self._stored[name], self.tensors[name]
        if tensor.tensor_type == gguf.GGMLQuantizationType.F16:
            array = tensor.data.view(np.float16)
        elif tensor.tensor_type == gguf.GGMLQuantizationType.BF16:
            array = tensor.data.view(ml_dtypes.bfloat16)
        else:
            try:
                array = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            except NotImplementedError as error:
                raise UserError(
                    f"{self.where}: {tensor.name} is stored as {tensor.tensor_type.name}, which "
                    "is not read here; take a file with Q8_0, Q4_K or F16 weights"
                ) from error
        array = array.reshape(info.shape)
        for projection, heads in (
            ("q_proj", self.config.num_heads),
            ("k_proj", self.config.num_kv_heads),
        ):
            if f".{projection}." in name:
                # Stored rows of a head: 0, H/2, 1, H/2 + 1, ...
                pairs = array.reshape(heads, -1, 2, *array.shape[1:])
                array = pairs.swapaxes(1, 2).reshape(array.shape)
        return array

    def tokenizer(self) -> Tokenizer:
        """The tokenizer inside the file.

        Raises:
            UserError: it is not a byte-level BPE, or names no end-of-text token.
        """
        kind = self._field("tokenizer.ggml.model")
        if kind != "gpt2":
            raise UserError(
                f"{self.where} holds a tokenizer of kind {kind!r}; of GGUF files only byte-level "
                'BPE ("gpt2") is read: load this model from its Hugging Face folder'
            )
        eos_id = self._field("tokenizer.ggml.eos_token_id")
        if eos_id is None:
            raise UserError(f"{self.where} names no tokenizer.ggml.eos_token_id")
        return tokenizer_from_gguf_fields(
            tokens=self._field("tokenizer.ggml.tokens"),
            merges=self._field("tokenizer.ggml.merges", []),
            token_types=self._field("tokenizer.ggml.token_type"),
            bos_id=self._field("tokenizer.ggml.bos_token_id"),
            eos_id=eos_id,
            pre=self._field("tokenizer.ggml.pre", "default"),
            chat_template=self._field("tokenizer.chat_template"),
            add_bos=self._field("tokenizer.ggml.add_bos_token"),
            pad_id=self._field("tokenizer.ggml.padding_token_id"),
            name=Path(self.where).stem,
        )

    def _field(self, name: str, default: Any = None) -> Any:
        return self._fields[name].contents() if name in self._fields else default

    def _size(self, name: str) -> int:
        value = self._field(f"llama.{name}")
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{self.where}: llama.{name} must be a positive integer, not {value}")
        return value

    def _read_config(self) -> ModelConfig:
        for field in self._fields:
            short = field.removeprefix("llama.")
            if short != field and short not in _KNOWN_FIELDS:
                raise UserError(
                    f"{self.where}: {field}={self._field(field)!r} is a setting that is not "
                    "implemented and may change what the model computes"
                )
        hidden, heads = self._size("embedding_length"), self._size("attention.head_count")
        head_dim = self._field("llama.attention.key_length", hidden // heads)
        for other in ("attention.value_length", "rope.dimension_count"):
            if self._field(f"llama.{other}", head_dim) != head_dim:
                raise UserError(
                    f"{self.where}: llama.{other}={self._field(f'llama.{other}')} differs from "
                    f"the head size {head_dim}; that is not implemented"
                )
        return ModelConfig(
            vocab_size=self.tensors["model.embed_tokens.weight"].shape[0],
            hidden_size=hidden,
            num_layers=self._size("block_count"),
            num_heads=heads,
            num_kv_heads=self._field("llama.attention.head_count_kv", heads),
            head_dim=head_dim,
            ffn_size=self._size("feed_forward_length"),
            max_positions=self._size("context_length"),
            # A float32 in the file; its shortest spelling is the number that was meant.
            norm_eps=_shortest(self._field("llama.attention.layer_norm_rms_epsilon", 1e-6)),
            rope_theta=_shortest(self._field("llama.rope.freq_base", 10000.0)),
            rope_scaling=self._rope_scaling(),
            qkv_bias="model.layers.0.self_attn.q_proj.bias" in self.tensors,
            out_bias="model.layers.0.self_attn.o_proj.bias" in self.tensors,
            mlp_bias="model.layers.0.mlp.up_proj.bias" in self.tensors,
            tie_embeddings="lm_head.weight" not in self.tensors,
        )

    def _rope_scaling(self) -> RopeScaling | None:
        kind = self._field("llama.rope.scaling.type", "none")
        if kind == "none":
            return None
        if kind == "linear":
            return RopeScaling(kind="linear", factor=self._field("llama.rope.scaling.factor"))
        raise UserError(
            f"{self.where}: llama.rope.scaling.type={kind!r} is not implemented; supported: "
            "none, linear"
        )


def _hf_name(name: str) -> str:
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if block and block[2] in _BLOCK:
        return f"model.layers.{block[1]}.{_BLOCK[block[2]]}.{block[3]}"
    return _TOP.get(name, name)


def _dtype(tensor: Any) -> np.dtype:
    kind = tensor.tensor_type
    if kind == gguf.GGMLQuantizationType.F16:
        return np.dtype(np.float16)
    if kind == gguf.GGMLQuantizationType.BF16:
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(np.float32)


def _shortest(value: float) -> float:
    return float(str(np.float32(value)))
