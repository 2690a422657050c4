from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxllm.errors import UserError
from jaxllm.weights.load import load_model

OPTIONS = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 2,
    "lora_alpha": 8,
    "lora_dropout": 0.05,
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "modules_to_save": None,
    "rank_pattern": {},
    "target_modules": ["q_proj", "v_proj"],
    "use_dora": False,
}


def write_adapter(folder, base, modules, **options):
    """A PEFT folder with seeded A and B for each module {name: (out, in)}."""
    folder.mkdir()
    fields = OPTIONS | {"base_model_name_or_path": str(base)} | options
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    random = np.random.default_rng(0)
    tensors = {}
    for module, (out_size, in_size) in modules.items():
        for letter, shape in (("A", (2, in_size)), ("B", (out_size, 2))):
            name = f"base_model.model.{module}.lora_{letter}.weight"
            tensors[name] = random.standard_normal(shape).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    return tensors


def product(tensors, module):
    a, b = (tensors[f"base_model.model.{module}.lora_{letter}.weight"] for letter in "AB")
    return b @ a


@pytest.mark.parametrize("rslora, scale", [(False, 4.0), (True, 8 / 2**0.5)])
def test_llama_linears_get_b_a_scaled(rslora, scale, tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama_gqa_wide_heads")
    module = "model.layers.1.self_attn.v_proj"
    tensors = write_adapter(tmp_path / "lora", base, {module: (24, 32)}, use_rslora=rslora)

    merged = load_model(tmp_path / "lora")

    before = load_model(base).params["blocks"]["attention"]
    after = merged.params["blocks"]["attention"]
    change = np.asarray(after["value"]["kernel"] - before["value"]["kernel"])
    np.testing.assert_allclose(change[1], scale * product(tensors, module).T, atol=1e-5)
    assert np.all(change[0] == 0)
    np.testing.assert_array_equal(after["query"]["kernel"], before["query"]["kernel"])
    assert merged.name == "lora"


def test_gpt2_conv1d_takes_the_transpose(tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "gpt2_gelu_new")
    module = "transformer.h.0.attn.c_attn"
    tensors = write_adapter(tmp_path / "lora", base, {module: (96, 32)}, fan_in_fan_out=True)

    after = load_model(tmp_path / "lora").params["blocks"]["attention"]["key"]["kernel"]

    before = load_model(base).params["blocks"]["attention"]["key"]["kernel"]
    expected = 4.0 * product(tensors, module).T[:, 32:64]
    np.testing.assert_allclose(np.asarray(after - before)[0], expected, atol=1e-5)


def test_the_sum_is_rounded_once(tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama", "bfloat16")
    module = "model.layers.0.mlp.down_proj"
    tensors = write_adapter(tmp_path / "lora", base, {module: (32, 48)})

    merged = load_model(tmp_path / "lora").params["blocks"]["mlp"]["down"]["kernel"]

    before = np.asarray(load_model(base).params["blocks"]["mlp"]["down"]["kernel"])
    exact = before[0].astype(np.float32) + 4.0 * product(tensors, module).T
    assert merged.dtype == "bfloat16"
    np.testing.assert_array_equal(merged[0], exact.astype(before.dtype))


@pytest.mark.parametrize(
    "options, told",
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"bias": "all"}, "bias='all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"something_new": 3}, "something_new"),
        ({"r": 0}, "r is missing"),
        ({"base_model_name_or_path": "no/where/at/all"}, "no/where/at/all"),
    ],
)
def test_options_that_are_not_implemented_are_refused(options, told, tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama")
    modules = {"model.layers.0.self_attn.q_proj": (32, 32)}
    write_adapter(tmp_path / "lora", base, modules, **options)

    with pytest.raises(UserError, match=told):
        load_model(tmp_path / "lora")


@pytest.mark.parametrize(
    "modules, told",
    [
        ({"model.embed_tokens": (32, 61)}, "embed_tokens"),
        ({"model.layers.0.self_attn.q_proj": (32, 16)}, r"\[32, 16\].*\[32, 32\]"),
        ({"model.layers.7.self_attn.q_proj": (32, 32)}, "layers.7"),
    ],
)
def test_targets_that_do_not_fit_are_refused(modules, told, tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama")
    write_adapter(tmp_path / "lora", base, modules)

    with pytest.raises(UserError, match=told):
        load_model(tmp_path / "lora")
