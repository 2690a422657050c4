from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig, RopeScaling
from jaxllm.models.zoo import ZOO
from jaxllm.weights.hf_config import config_from_hf, config_text, config_to_hf

FAMILIES = ["llama", "llama_biases", "llama_rope_llama3", "llama_rope_linear", "mistral", "qwen2"]
FAMILIES += ["qwen3", "gpt2_gelu_new", "gpt2_gelu_erf", "gpt2_untied"]
# config.json of a tune of llm-jp-13b-v2.0, as its hub page shows it.
V2_TUNE = {
    "_name_or_path": "llm-jp/llm-jp-13b-v2.0",
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 7,
    "hidden_act": "silu",
    "hidden_size": 5120,
    "initializer_range": 0.02,
    "intermediate_size": 13824,
    "max_position_embeddings": 4096,
    "max_sequence_length": 4096,
    "model_type": "llama",
    "num_attention_heads": 40,
    "num_hidden_layers": 40,
    "num_key_value_heads": 40,
    "pad_token_id": 4,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.39.3",
    "use_cache": False,
    "vocab_size": 97024,
}


def test_a_released_config_is_the_zoo_entry():
    assert config_from_hf(V2_TUNE) == ZOO["llm-jp-13b-v2.0"].config


@pytest.mark.parametrize("name", FAMILIES)
def test_what_we_write_reads_back_equal(name, tiny):
    config = config_from_hf(tiny.CONFIGS[name])

    assert config_from_hf(config_to_hf(config, dtype="float32")) == config


@pytest.mark.parametrize("name", ZOO)
def test_every_zoo_entry_can_be_written(name):
    config = ZOO[name].config

    assert config_from_hf(config_to_hf(config, dtype="bfloat16")) == config


def test_both_spellings_of_rope_are_read(tiny):
    old = tiny.CONFIGS["llama_rope_llama3"]
    new = {key: value for key, value in old.items() if key not in ("rope_theta", "rope_scaling")}
    new["rope_parameters"] = old["rope_scaling"] | {"rope_theta": old["rope_theta"]}

    config = config_from_hf(new)

    assert config == config_from_hf(old)
    assert config.rope_theta == 500.0
    assert config.rope_scaling == RopeScaling(
        kind="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_positions=32,
    )


def test_gpt2_positions_are_n_positions_not_the_stale_n_ctx(tiny):
    assert tiny.CONFIGS["gpt2_gelu_new"]["n_ctx"] == 32

    assert config_from_hf(tiny.CONFIGS["gpt2_gelu_new"]).max_positions == 64


def test_a_null_head_dim_and_absent_kv_heads_follow_from_the_heads(tiny):
    fields = tiny.CONFIGS["llama"] | {"head_dim": None}
    del fields["num_key_value_heads"]

    config = config_from_hf(fields)

    assert (config.head_dim, config.num_kv_heads) == (8, 4)


@pytest.mark.parametrize(
    "base, change, named",
    [
        ("llama", {"architectures": ["MixtralForCausalLM"]}, "MixtralForCausalLM"),
        ("llama", {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "yarn"),
        ("llama", {"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "dynamic"),
        ("llama", {"rope_scaling": {"rope_type": "linear", "factor": "4"}}, "factor"),
        ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "mscale": 1}}, "mscale"),
        ("llama", {"rope_parameters": {"rope_theta": 5.0}}, "rope_theta"),
        ("llama", {"hidden_act": "relu"}, "relu"),
        ("llama", {"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ("llama", {"auto_map": {"AutoModelForCausalLM": "my.Llama"}}, "auto_map"),
        ("llama", {"logit_scale": 2.0}, "logit_scale"),
        ("llama", {"is_encoder_decoder": True}, "is_encoder_decoder"),
        ("llama", {"hidden_size": "32"}, "hidden_size"),
        ("llama", {"vocab_size": None}, "vocab_size"),
        ("mistral", {"sliding_window": 4096}, "sliding_window"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ("gpt2_gelu_new", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse"),
        ("gpt2_gelu_new", {"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn"),
        ("gpt2_gelu_new", {"scale_attn_weights": False}, "scale_attn_weights"),
        ("gpt2_gelu_new", {"add_cross_attention": True}, "add_cross_attention"),
        ("gpt2_gelu_new", {"n_head": 5}, "n_head=5"),
    ],
)
def test_what_would_change_the_computation_is_refused(base, change, named, tiny):
    with pytest.raises(UserError, match=named):
        config_from_hf(tiny.CONFIGS[base] | change)


@pytest.mark.parametrize(
    "base, change",
    [
        ("llama", {"auto_map": {"AutoTokenizer": ["my.Tokenizer", None]}}),
        ("llama", {"quantization_config": None, "logit_scale": None}),
        ("qwen2", {"layer_types": ["full_attention", "full_attention"]}),
        ("gpt2_gelu_new", {"scale_attn_weights": True, "task_specific_params": {"a": 1}}),
    ],
)
def test_what_changes_nothing_is_let_through(base, change, tiny):
    assert config_from_hf(tiny.CONFIGS[base] | change) == config_from_hf(tiny.CONFIGS[base])


def test_a_mixed_architecture_has_no_hf_config():
    config = ModelConfig(
        vocab_size=8, hidden_size=8, num_layers=1, num_heads=2, num_kv_heads=2, head_dim=4,
        ffn_size=8, max_positions=8, norm="layer",
    )  # fmt: skip

    with pytest.raises(UserError, match="orbax"):
        config_to_hf(config, dtype="float32")


def test_the_source_text_is_kept_while_it_is_true(tiny):
    source = json.dumps(tiny.CONFIGS["llama"] | {"_name_or_path": "somewhere"}, indent=7)
    config = config_from_hf(tiny.CONFIGS["llama"])

    assert config_text(config, dtype="float32", source=source) == source


def test_another_dtype_changes_only_the_dtype(tiny):
    fields = tiny.CONFIGS["llama"] | {"_name_or_path": "somewhere"}
    config = config_from_hf(fields)

    text = config_text(config, dtype="bfloat16", source=json.dumps(fields))

    assert json.loads(text) == fields | {"torch_dtype": "bfloat16"}


def test_a_source_that_is_no_longer_true_is_not_kept(tiny):
    config = config_from_hf(tiny.CONFIGS["llama"]).replace(vocab_size=99)

    text = config_text(config, dtype="float32", source=json.dumps(tiny.CONFIGS["llama"]))

    assert config_from_hf(json.loads(text)) == config
