"""Adapters of peft's merged by us and ours loaded by peft, held against each other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxllm.models.decoder import forward, init_params, project_logits
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import combine, partition
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.load import load_model
from jaxllm.weights.lora_targets import LoraSettings, lora_config
from jaxllm.weights.peft_folder import PeftFolder, write_peft_folder

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
pytestmark = [
    pytest.mark.parity,
    # What the libraries complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

_SPEC = importlib.util.spec_from_file_location(
    "make_goldens", Path(__file__).parents[1] / "goldens" / "make_goldens.py"
)
goldens = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(goldens)


def _logits(params, config, tokens):
    ids = jnp.asarray(tokens)[None]
    positions = jnp.arange(len(tokens))[None]
    hidden = jax.jit(forward, static_argnums=1)(params, config, ids, positions, jnp.ones_like(ids))
    return np.asarray(project_logits(params, config, hidden)[0])


@pytest.mark.parametrize(
    ("name", "modules", "options"),
    [
        ("llama", ["q_proj", "k_proj", "v_proj", "o_proj"], {}),
        ("llama", ["gate_proj", "up_proj", "down_proj"], {"use_rslora": True}),
        ("llama_gqa_wide_heads", ["q_proj", "v_proj"], {"layers_to_transform": [1]}),
        ("llama", ["embed_tokens", "lm_head", "up_proj"], {}),
        ("gpt2_gelu_new", ["c_attn", "c_proj"], {"fan_in_fan_out": True}),
    ],
)
def test_a_merged_adapter_computes_what_peft_computes(name, modules, options, tmp_path):
    base = goldens.write_folder(tmp_path / "base", name)
    model = goldens.transformers_model(goldens.CONFIGS[name])
    settings = peft.LoraConfig(
        r=4, lora_alpha=12, target_modules=modules, task_type="CAUSAL_LM", **options
    )
    adapted = peft.get_peft_model(model, settings)
    torch.manual_seed(0)
    for weight_name, weight in adapted.named_parameters():
        if "lora_" in weight_name:  # B is born zero, which would change nothing
            torch.nn.init.normal_(weight, std=0.2)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "adapter")
    tokens = goldens.tokens()

    ours = load_model(tmp_path / "adapter")
    logits = _logits(ours.params, ours.config, tokens)

    expected = goldens.transformers_logits(adapted.eval(), tokens)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    plain = goldens.transformers_logits(adapted.unload().eval(), tokens)
    assert np.abs(plain - expected).max() > 1e-2


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("llama", {"targets": ("all-linear",)}),
        ("llama", {"targets": ("all",), "rslora": True}),
        ("llama_tied", {"targets": ("q_proj", "v_proj")}),
        ("gpt2_gelu_new", {"targets": ("c_attn", "c_proj", "c_fc")}),
        ("gpt2_gelu_new", {"targets": ("mlp.c_proj",)}),
    ],
)
def test_peft_roundtrip(name, settings, tmp_path):
    folder = goldens.write_folder(tmp_path / "base", name)
    base = load_model(folder)
    lora = lora_config(LoraSettings(rank=4, alpha=12.0, **settings), base.config)
    config, tokens = base.config.replace(lora=lora), goldens.tokens()
    fresh = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    adapters, _ = partition(fresh, is_adapter)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(adapters))))
    adapters = jax.tree.map(lambda w: 0.2 * jax.random.normal(next(keys), w.shape), adapters)
    stands_on = BaseModel(source=str(folder), revision=None, param_dtype="float32", digest="")
    write_peft_folder(tmp_path / "ours", adapters, config, stands_on)

    plain = goldens.transformers_model(goldens.CONFIGS[name]).eval()
    without = goldens.transformers_logits(plain, tokens)
    theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "ours").eval()
    expected = goldens.transformers_logits(theirs, tokens)
    found = _logits(combine(adapters, base.params), config, tokens)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(without - expected).max() > 1e-2

    theirs.save_pretrained(tmp_path / "theirs")
    written, saved = (
        load_file(tmp_path / by / "adapter_model.safetensors") for by in ("ours", "theirs")
    )
    assert written.keys() == {tensor for tensor in saved if "base_layer" not in tensor}
    for tensor, array in written.items():
        np.testing.assert_array_equal(array, saved[tensor], err_msg=tensor)
    _, back = PeftFolder(tmp_path / "theirs").read(base.config, base.params)
    jax.tree.map(np.testing.assert_array_equal, back, adapters)
