from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxllm.errors import UserError
from jaxllm.models.decoder import init_params
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import leaf_names, partition
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.load import load_model
from jaxllm.weights.lora_targets import LoraSettings, lora_config
from jaxllm.weights.peft_folder import PeftFolder, write_peft_folder

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
        ({"model.norm": (32, 32)}, r"model\.norm, .* these are embed_tokens, q_proj, "),
        ({"model.layers.0.self_attn.q_proj": (32, 16)}, r"\[32, 16\].*\[32, 32\]"),
        ({"model.layers.7.self_attn.q_proj": (32, 32)}, "layers.7"),
    ],
)
def test_targets_that_do_not_fit_are_refused(modules, told, tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama")
    write_adapter(tmp_path / "lora", base, modules)

    with pytest.raises(UserError, match=told):
        load_model(tmp_path / "lora")


@pytest.mark.parametrize(
    "name, targets, modules, names",
    [
        (
            "llama",
            ("all",),
            "embed_tokens q_proj k_proj v_proj o_proj gate_proj up_proj down_proj lm_head",
            ("model.embed_tokens.lora_embedding_A", "lm_head.lora_B.weight"),
        ),
        (
            "gpt2_gelu_new",
            ("c_attn", "c_proj", "c_fc"),
            "c_attn attn.c_proj c_fc mlp.c_proj",
            ("transformer.h.1.attn.c_attn.lora_A.weight", "transformer.h.0.mlp.c_fc.lora_B.weight"),
        ),
        ("llama_tied", ("self_attn.*",), "q_proj k_proj v_proj o_proj", ()),
    ],
)
def test_adapters_come_back_as_they_were_written(name, targets, modules, names, tiny, tmp_path):
    base = load_model(tiny.write_folder(tmp_path / "base", name))
    lora = lora_config(LoraSettings(rank=3, alpha=6.0, targets=targets, rslora=True), base.config)
    config = base.config.replace(lora=lora)
    adapters, _ = partition(
        jax.jit(init_params, static_argnums=0)(config, jax.random.key(0)), is_adapter
    )
    adapters = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape), adapters)
    stands_on = BaseModel(
        source=str(tmp_path / "base"), revision=None, param_dtype="float32", digest=""
    )

    write_peft_folder(tmp_path / "out", adapters, config, stands_on, base.tokenizer)

    fields = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert fields["target_modules"] == modules.split()
    assert fields["fan_in_fan_out"] == name.startswith("gpt2")
    stored = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert {f"base_model.model.{tensor}" for tensor in names} <= set(stored)
    read_lora, read = PeftFolder(tmp_path / "out").read(base.config, base.params)
    assert read_lora == lora
    assert leaf_names(read) == leaf_names(adapters)
    jax.tree.map(np.testing.assert_array_equal, read, adapters)


def test_embeddings_that_are_the_head_too_are_not_adapted(tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama_tied")
    write_adapter(tmp_path / "lora", base, {"lm_head": (61, 32)})

    with pytest.raises(UserError, match="adapts lm_head, which is no layer"):
        load_model(tmp_path / "lora")


@pytest.mark.parametrize("changed", [False, True])
def test_embeddings_that_peft_wrote_beside_must_be_the_base_models(changed, tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama", "bfloat16")
    tensors = write_adapter(tmp_path / "lora", base, {"lm_head": (61, 32)})
    head = load_model(base).params["head"]["kernel"].T.astype(np.float32)
    tensors["base_model.model.lm_head.base_layer.weight"] = np.asarray(head) + changed
    save_file(tensors, tmp_path / "lora" / "adapter_model.safetensors")

    if changed:
        with pytest.raises(UserError, match=r"lm_head\.base_layer\.weight is not the base model's"):
            load_model(tmp_path / "lora")
    else:
        assert load_model(tmp_path / "lora").num_params == load_model(base).num_params


def test_a_rank_that_contradicts_the_options_is_told(tiny, tmp_path):
    base = tiny.write_folder(tmp_path / "base", "llama")
    write_adapter(tmp_path / "lora", base, {"model.layers.0.mlp.up_proj": (48, 32)}, r=8)

    with pytest.raises(UserError, match=r"up_proj has rank 2, and r is 8"):
        load_model(tmp_path / "lora")


def test_an_adapter_of_a_run_is_merged_too(tiny_run, tmp_path):
    write_adapter(tmp_path / "lora", tiny_run, {"model.layers.0.mlp.up_proj": (64, 32)})

    kernels = [
        np.asarray(load_model(source).params["blocks"]["mlp"]["up"]["kernel"])
        for source in (tiny_run, tmp_path / "lora")
    ]
    assert np.any(kernels[0][0] != kernels[1][0])
    np.testing.assert_array_equal(kernels[0][1], kernels[1][1])
