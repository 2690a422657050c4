"""Hugging Face `config.json` <-> ModelConfig, refusing what it does not understand.

Every field of a config.json is either read, required to hold the one value that leaves the
computation alone, or known to be inert. Anything else is an error: a field skipped in silence is
a model that computes something else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig, RopeScaling
from jaxllm.weights.hf_fields import Fields

_FAMILY_OF_ARCHITECTURE = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "GPT2LMHeadModel": "gpt2",
}
_ARCHITECTURE_OF_FAMILY = {family: name for name, family in _FAMILY_OF_ARCHITECTURE.items()}

# What transformers assumes where config.json is silent. (Llama alone may leave out the number of
# key/value heads: the others' defaults depend on the version that wrote the file.)
_LLAMA_LIKE = {
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA_LIKE,
    "mistral": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE | {"head_dim": 128},
    "gpt2": {
        "activation_function": "gelu_new",
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
}


def config_from_hf(
    fields: Mapping[str, Any], *, dtype: str = "float32", param_dtype: str = "float32"
) -> ModelConfig:
    """The ModelConfig of a parsed `config.json`.

    Reads the spellings of transformers 4 (`rope_theta`, `rope_scaling`) and 5 (`rope_parameters`).

    Raises:
        UserError: an architecture or a field value this program does not compute; the message
            names the field and its value.
    """
    family = _family(fields)
    read = Fields(fields, _DEFAULTS[family])
    config = _read_gpt2(read) if family == "gpt2" else _read_llama_like(read, family)
    read.refuse_unread()
    return dataclasses.replace(config, dtype=dtype, param_dtype=param_dtype)


def config_to_hf(
    config: ModelConfig, *, dtype: str, token_ids: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A complete `config.json` that transformers 4 and 5 read, for weights stored as `dtype`.

    `token_ids` may hold `bos_token_id`, `eos_token_id` and `pad_token_id`.

    Raises:
        UserError: no supported Hugging Face architecture computes this config.
    """
    family = family_of(config)
    fields: dict[str, Any] = {
        "architectures": [_ARCHITECTURE_OF_FAMILY[family]],
        "model_type": family,
        "vocab_size": config.vocab_size,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tie_embeddings,
        "torch_dtype": dtype,
        "use_cache": True,
        "bos_token_id": None,
        "eos_token_id": None,
        **(token_ids or {}),
    }
    if family == "gpt2":
        return fields | {
            "n_embd": config.hidden_size,
            "n_layer": config.num_layers,
            "n_head": config.num_heads,
            "n_inner": config.ffn_size,
            "n_positions": config.max_positions,
            "layer_norm_epsilon": config.norm_eps,
            "activation_function": _hf_activation(config.activation, "gelu_new"),
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }
    fields |= {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.ffn_size,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": _hf_activation(config.activation, "gelu_pytorch_tanh"),
        "rope_theta": config.rope_theta,
        "rope_scaling": _rope_scaling_to_hf(config.rope_scaling),
        "attention_dropout": 0.0,
    }
    if family == "llama":
        fields |= {"attention_bias": config.qkv_bias, "mlp_bias": config.mlp_bias}
    else:
        fields |= {"use_sliding_window": False}
    if family == "qwen3":
        fields |= {"attention_bias": config.qkv_bias}
    return fields


def config_text(
    config: ModelConfig,
    *,
    dtype: str,
    source: str | None = None,
    token_ids: Mapping[str, Any] | None = None,
) -> str:
    """The text of `config.json`: `source` itself where it still describes the model, else anew.

    A source whose stored dtype alone is out of date keeps all its other fields.
    """
    if source is not None and same_function(config_from_hf(json.loads(source)), config):
        fields = json.loads(source)
        spellings = [key for key in ("torch_dtype", "dtype") if fields.get(key) is not None]
        if all(fields[key] == dtype for key in spellings):
            return source
        return _json_text(fields | dict.fromkeys(spellings, dtype))
    return _json_text(config_to_hf(config, dtype=dtype, token_ids=token_ids))


def family_of(config: ModelConfig) -> str:
    """The Hugging Face `model_type` that computes `config`.

    Raises:
        UserError: none of llama, qwen2, qwen3 and gpt2 does.
    """
    if config.positions == "learned":
        fits = (
            config.norm == "layer"
            and not config.gated_mlp
            and config.qkv_bias
            and config.out_bias
            and config.mlp_bias
            and not config.qk_norm
            and config.num_kv_heads == config.num_heads
            and config.head_dim * config.num_heads == config.hidden_size
        )
        family = "gpt2"
    else:
        fits = config.norm == "rms" and config.gated_mlp
        if config.qk_norm:
            family = "qwen3"
            fits = fits and config.qkv_bias == config.out_bias and not config.mlp_bias
        elif config.qkv_bias and not config.out_bias:
            family = "qwen2"
            fits = fits and not config.mlp_bias
        else:
            family = "llama"
            fits = fits and config.qkv_bias == config.out_bias
    if not fits:
        raise UserError(
            "this model mixes parts of several families, so no Hugging Face architecture can hold "
            "it; convert it with --to=orbax, or build it from the settings of Llama, Qwen2, Qwen3 "
            "or GPT-2"
        )
    return family


def same_function(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether two configs compute the same function of the same weights."""
    layout = {
        field: getattr(one, field)
        for field in ("init_std", "dtype", "param_dtype", "attention", "remat", "scan_unroll")
    }
    return one == other.replace(**layout)


def _family(fields: Mapping[str, Any]) -> str:
    architectures = fields.get("architectures") or []
    supported = ", ".join(_FAMILY_OF_ARCHITECTURE)
    for name in architectures:
        if name in _FAMILY_OF_ARCHITECTURE:
            return _FAMILY_OF_ARCHITECTURE[name]
    if architectures:
        raise UserError(
            f"config.json: architectures={architectures} is not implemented; supported: {supported}"
        )
    if fields.get("model_type") in _ARCHITECTURE_OF_FAMILY:
        return fields["model_type"]
    raise UserError(
        f"config.json names no architecture (model_type={fields.get('model_type')!r}); "
        f'give "architectures": one of {supported}'
    )


def _read_gpt2(read: Fields) -> ModelConfig:
    hidden, heads = read.size("n_embd"), read.size("n_head")
    if hidden % heads:
        raise UserError(f"config.json: n_embd={hidden} does not divide into n_head={heads} heads")
    return ModelConfig(
        vocab_size=read.size("vocab_size"),
        hidden_size=hidden,
        num_layers=read.size("n_layer"),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=hidden // heads,
        ffn_size=read.size("n_inner", 4 * hidden),
        # n_ctx is what old files say; transformers sizes the position table by n_positions.
        max_positions=read.size("n_positions"),
        norm="layer",
        norm_eps=read.get("layer_norm_epsilon"),
        activation=read.activation("activation_function"),
        gated_mlp=False,
        positions="learned",
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        tie_embeddings=read.get("tie_word_embeddings"),
        init_std=read.get("initializer_range"),
    )


def _read_llama_like(read: Fields, family: str) -> ModelConfig:
    hidden, heads = read.size("hidden_size"), read.size("num_attention_heads")
    max_positions = read.size("max_position_embeddings")
    theta, scaling = _rope(read, max_positions)
    # Qwen2 has biases on queries, keys and values whatever its config says; Mistral has none.
    attention_bias = family in ("llama", "qwen3") and read.get("attention_bias", False)
    if family == "mistral" and read.get("sliding_window") is not None:
        raise UserError(
            f"config.json: sliding_window={read.get('sliding_window')} is not implemented; "
            "only Mistral models with sliding_window null are"
        )
    return ModelConfig(
        vocab_size=read.size("vocab_size"),
        hidden_size=hidden,
        num_layers=read.size("num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=read.size("num_key_value_heads", heads if family == "llama" else None),
        head_dim=read.size("head_dim", hidden // heads),
        ffn_size=read.size("intermediate_size"),
        max_positions=max_positions,
        norm_eps=read.get("rms_norm_eps"),
        activation=read.activation("hidden_act"),
        rope_theta=theta,
        rope_scaling=scaling,
        qkv_bias=attention_bias or family == "qwen2",
        out_bias=attention_bias,
        mlp_bias=family == "llama" and read.get("mlp_bias", False),
        qk_norm=family == "qwen3",
        tie_embeddings=read.get("tie_word_embeddings"),
        init_std=read.get("initializer_range"),
    )


def _rope(read: Fields, max_positions: int) -> tuple[float, RopeScaling | None]:
    # transformers 5 writes one `rope_parameters`; 4 wrote `rope_theta` beside `rope_scaling`.
    old_theta, old_scaling = read.get("rope_theta"), read.get("rope_scaling")
    fields = dict(read.get("rope_parameters") or old_scaling or {})
    theta = float(fields.pop("rope_theta", old_theta or 10000.0))
    if old_theta is not None and float(old_theta) != theta:
        raise UserError(
            f"config.json: rope_theta={old_theta} contradicts rope_parameters.rope_theta={theta}; "
            "keep one of them"
        )
    old_kind = fields.pop("type", "default")
    kind = fields.pop("rope_type", old_kind)
    if kind == "default":
        scaling = None
    elif kind == "linear":
        scaling = RopeScaling(kind="linear", factor=_rope_number(fields, "factor"))
    elif kind == "llama3":
        scaling = RopeScaling(
            kind="llama3",
            factor=_rope_number(fields, "factor"),
            low_freq_factor=_rope_number(fields, "low_freq_factor"),
            high_freq_factor=_rope_number(fields, "high_freq_factor"),
            original_max_positions=fields.pop("original_max_position_embeddings", max_positions),
        )
    else:
        raise UserError(
            f"config.json: rope_scaling of type {kind!r} is not implemented; supported: default, "
            "linear, llama3"
        )
    inert = {"partial_rotary_factor": 1.0, "attention_factor": None}
    for key, value in fields.items():
        if key not in inert or value not in (None, inert[key]):
            raise UserError(
                f"config.json: rope_scaling.{key}={value!r} has no meaning for rope type {kind!r} "
                "here; remove it if it does nothing"
            )
    return theta, scaling


def _rope_number(fields: dict[str, Any], name: str) -> float:
    value = fields.pop(name, None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"config.json: rope_scaling.{name} must be a number, not {value!r}")
    return float(value)


def _rope_scaling_to_hf(scaling: RopeScaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    if scaling.kind == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_max_positions,
    }


def _hf_activation(activation: str, tanh_name: str) -> str:
    return tanh_name if activation == "gelu_tanh" else activation


def _json_text(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
