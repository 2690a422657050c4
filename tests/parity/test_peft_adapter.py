"""Adapters as peft itself saves them, merged by us, against peft's own forward pass."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models.decoder import forward, project_logits
from jaxllm.weights.load import load_model

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


@pytest.mark.parametrize(
    ("name", "modules", "options"),
    [
        ("llama", ["q_proj", "k_proj", "v_proj", "o_proj"], {}),
        ("llama", ["gate_proj", "up_proj", "down_proj"], {"use_rslora": True}),
        ("llama_gqa_wide_heads", ["q_proj", "v_proj"], {"layers_to_transform": [1]}),
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
    ids = jnp.asarray(tokens)[None]
    positions = jnp.arange(len(tokens))[None]
    hidden = jax.jit(forward, static_argnums=1)(
        ours.params, ours.config, ids, positions, jnp.ones_like(ids)
    )
    logits = np.asarray(project_logits(ours.params, ours.config, hidden)[0])

    expected = goldens.transformers_logits(adapted.eval(), tokens)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    plain = goldens.transformers_logits(adapted.unload().eval(), tokens)
    assert np.abs(plain - expected).max() > 1e-2
