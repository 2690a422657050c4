from __future__ import annotations

import json

import gguf
import jax
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.weights.gguf_file import GgufFile
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.load import load_model
from jaxllm.weights.safetensors_folder import read_params
from jaxllm.weights.tensors import assemble_params

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers": "blk",
}


def gguf_name(name):
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def permuted(weight, heads):
    """Rows as llama.cpp's converter orders them, straight from the definition."""
    head_dim = len(weight) // heads
    order = [
        head * head_dim + channel + half * (head_dim // 2)
        for head in range(heads)
        for channel in range(head_dim // 2)
        for half in range(2)
    ]
    return weight[order]


def write_gguf(path, tiny, name="llama_gqa_wide_heads", quantized=None, **extra):
    """The tiny model `name` as llama.cpp would store it; `quantized` maps a name to a type."""
    config = config_from_hf(tiny.CONFIGS[name])
    writer = gguf.GGUFWriter(path, extra.pop("architecture", "llama"))
    writer.add_block_count(config.num_layers)
    writer.add_context_length(config.max_positions)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.ffn_size)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    for key, value in extra.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_float32(key, value)
    words = ["<s>", "</s>", *(chr(97 + i) for i in range(26))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([3, 3] + [1] * 26)
    writer.add_token_merges([])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for key, shape in tiny_tensors(tiny, name).items():
        weight = tiny.tensor(key, tuple(shape))
        if "q_proj" in key:
            weight = permuted(weight, config.num_heads)
        if "k_proj" in key:
            weight = permuted(weight, config.num_kv_heads)
        kind = (quantized or {}).get(key)
        if kind is None:
            writer.add_tensor(gguf_name(key), weight)
        else:
            writer.add_tensor(gguf_name(key), gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tiny_tensors(tiny, name):
    return json.loads((tiny.FOLDER / "models.json").read_text())[name]["tensors"]


@pytest.mark.parametrize("name", ["llama_gqa_wide_heads", "llama_tied"])
def test_the_weights_and_config_are_those_of_the_hf_folder(name, tiny, tmp_path):
    folder = tiny.write_folder(tmp_path / "hf", name)

    file = GgufFile(write_gguf(tmp_path / "x.gguf", tiny, name))

    assert file.config == config_from_hf(tiny.CONFIGS[name])
    jax.tree.map(
        np.testing.assert_array_equal,
        assemble_params(file, file.config),
        read_params(folder),
    )


@pytest.mark.parametrize(
    "kind, dtype, tolerance",
    [("Q8_0", "float32", 0.01), ("Q4_1", "float32", 0.2), ("F16", "float16", 0.001)],
)
def test_stored_types(kind, dtype, tolerance, tiny, tmp_path):
    types = {
        f"model.layers.{layer}.self_attn.q_proj.weight": gguf.GGMLQuantizationType[kind]
        for layer in range(2)
    }

    file = GgufFile(write_gguf(tmp_path / "x.gguf", tiny, quantized=types))

    query = assemble_params(file, file.config)["blocks"]["attention"]["query"]["kernel"]
    assert query.dtype == dtype
    for layer in range(2):
        name = f"model.layers.{layer}.self_attn.q_proj.weight"
        expected = tiny.tensor(name, (48, 32)).T
        assert np.abs(np.asarray(query[layer], np.float32) - expected).max() < tolerance


def test_load_model_brings_the_tokenizer_along(tiny, tmp_path):
    model = load_model(write_gguf(tmp_path / "small.gguf", tiny))

    assert (model.name, model.revision, model.config.param_dtype) == ("small", None, "float32")
    assert model.tokenizer.encode("ab") == [2, 3]
    assert (model.tokenizer.bos_id, model.tokenizer.eos_id) == (0, 1)


@pytest.mark.parametrize(
    "extra, told",
    [
        ({"architecture": "gemma"}, "gemma"),
        ({"llama.rope.scaling.type": "yarn"}, "yarn"),
        ({"llama.attention.clamp_kqv": 8.0}, r"clamp_kqv=8\.0"),
    ],
)
def test_what_would_change_the_computation_is_refused(extra, told, tiny, tmp_path):
    with pytest.raises(UserError, match=told):
        GgufFile(write_gguf(tmp_path / "x.gguf", tiny, **extra))


def test_linear_rope_scaling_is_read(tiny, tmp_path):
    scaling = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}

    file = GgufFile(write_gguf(tmp_path / "x.gguf", tiny, "llama_rope_linear", **scaling))

    assert file.config == config_from_hf(tiny.CONFIGS["llama_rope_linear"])


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a gguf file at all" * 10])
def test_what_is_no_gguf_is_told(content, tmp_path):
    (tmp_path / "x.gguf").write_bytes(content)

    with pytest.raises(UserError, match="no GGUF file"):
        GgufFile(tmp_path / "x.gguf")
