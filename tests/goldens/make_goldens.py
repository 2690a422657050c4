"""Tiny models of every family, and their logits as transformers computes them.

Weights follow from each tensor's name and shape by `tensor`, so that a golden holds only a config
and the logits of a few positions. To make them again (needs torch and transformers):

    python tests/goldens/make_goldens.py
"""

from __future__ import annotations

import copy
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
NUM_TOKENS = 48
POSITIONS = (0, 1, 7, 20, 33, 47)  # whose logits are kept

_SHARED = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}
_LLAMA = _SHARED | {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": 61,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "n_ctx": 32,
    "n_inner": None,
    "layer_norm_epsilon": 1e-5,
    "bos_token_id": 7,
    "eos_token_id": 7,
    "torch_dtype": "float32",
}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "llama_gqa_wide_heads": _LLAMA | {"num_key_value_heads": 2, "head_dim": 12},
    "llama_tied": _LLAMA | {"tie_word_embeddings": True, "rms_norm_eps": 1e-3},
    "llama_biases": _LLAMA | {"attention_bias": True, "mlp_bias": True},
    "llama_rope_llama3": _LLAMA
    | {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_theta": 500.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "llama_rope_linear": _LLAMA | {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "mistral": _LLAMA
    | {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "num_key_value_heads": 2,
        "sliding_window": None,
    },
    "qwen2": _LLAMA
    | {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "use_sliding_window": False,
        "sliding_window": 32,
        "max_window_layers": 2,
    },
    "qwen3": _LLAMA
    | {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rms_norm_eps": 1e-6,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
    "gpt2_gelu_new": _GPT2 | {"activation_function": "gelu_new"},
    "gpt2_gelu_erf": _GPT2 | {"activation_function": "gelu", "n_inner": 80},
    "gpt2_untied": _GPT2 | {"activation_function": "gelu", "tie_word_embeddings": False},
}


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 weight called `name`: the same numbers wherever it is made."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    if len(shape) == 2:
        return noise * np.float32(0.2)
    # Norm scales lie around one and biases around zero; both far enough away to be noticed.
    is_scale = name.endswith("weight")
    return np.float32(is_scale) + noise * np.float32(0.3)


def tokens() -> np.ndarray:
    """The input of every golden, int32 [NUM_TOKENS]."""
    return np.random.default_rng(0).integers(0, 61, NUM_TOKENS).astype(np.int32)


def write_folder(folder: Path, name: str, dtype: str = "float32") -> Path:
    """A Hugging Face folder of the tiny model `name`, with a tokenizer of single words."""
    import ml_dtypes
    import tokenizers
    from safetensors.numpy import save_file

    model = json.loads((FOLDER / "models.json").read_text())[name]
    stored = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
    weights = {
        key: tensor(key, tuple(shape)).astype(stored) for key, shape in model["tensors"].items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = CONFIGS[name] | {"torch_dtype": dtype}
    (folder / "config.json").write_text(json.dumps(config, indent=1))  # not as we would write it
    words = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, 61)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 5]}')
    return folder


def transformers_model(config: dict[str, Any]) -> Any:
    """The transformers model of a config, with the weights of `tensor`, in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = copy.deepcopy(config)  # transformers writes into the dict it is given
    fields = {key: value for key, value in config.items() if key != "architectures"}
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**fields), attn_implementation="eager"
    )
    model = model.to(torch.float32).eval()
    for name, weight in model.named_parameters():
        weight.data = torch.from_numpy(tensor(name, tuple(weight.shape)))
    model.tie_weights()
    return model


def parameter_shapes(model: Any) -> dict[str, list[int]]:
    """Names and shapes of a transformers model's weights."""
    return {name: list(weight.shape) for name, weight in model.named_parameters()}


def transformers_logits(model: Any, ids: np.ndarray) -> np.ndarray:
    """Logits of one sequence, float32 [length, vocab]."""
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0].numpy()


def main() -> None:
    """Writes `logits.npz` and `models.json` beside this file."""
    logits: dict[str, np.ndarray] = {}
    models: dict[str, Any] = {}
    for name, config in CONFIGS.items():
        model = transformers_model(config)
        logits[name] = transformers_logits(model, tokens())[list(POSITIONS)]
        models[name] = {"config": config, "tensors": parameter_shapes(model)}
        print(f"{name}: {logits[name].std():.3f}")
    np.savez_compressed(FOLDER / "logits.npz", **logits)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(model)}" for name, model in models.items())
    (FOLDER / "models.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
