"""The goldens made anew by the installed transformers, and larger odd shapes beside them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models.decoder import forward, project_logits
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.safetensors_folder import read_config, read_params, write_hf_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.parity,
    # What the two libraries complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

GOLDENS = Path(__file__).parents[1] / "goldens"
TOLERANCE = 2e-5
_SPEC = importlib.util.spec_from_file_location("make_goldens", GOLDENS / "make_goldens.py")
goldens = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(goldens)


def our_logits(params, config, ids):
    tokens = jnp.asarray(ids)[None]
    positions = jnp.arange(len(ids))[None]
    hidden = jax.jit(forward, static_argnums=1)(
        params, config, tokens, positions, jnp.ones_like(tokens)
    )
    return np.asarray(project_logits(params, config, hidden)[0])


@pytest.mark.parametrize("name", goldens.CONFIGS)
def test_the_goldens_are_what_transformers_computes_today(name):
    model = goldens.transformers_model(goldens.CONFIGS[name])

    logits = goldens.transformers_logits(model, goldens.tokens())

    with np.load(GOLDENS / "logits.npz") as stored:
        np.testing.assert_allclose(
            logits[list(goldens.POSITIONS)], stored[name], rtol=TOLERANCE, atol=TOLERANCE
        )


@pytest.mark.parametrize("name", goldens.CONFIGS)
def test_what_transformers_saves_we_compute(name, tmp_path):
    model = goldens.transformers_model(goldens.CONFIGS[name])
    model.save_pretrained(tmp_path)  # config.json in the spelling of the installed version

    config = config_from_hf(read_config(tmp_path)[0])
    logits = our_logits(read_params(tmp_path, config), config, goldens.tokens())

    expected = goldens.transformers_logits(model, goldens.tokens())
    np.testing.assert_allclose(logits, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", goldens.CONFIGS)
def test_what_we_write_transformers_computes(name, tmp_path):
    folder = goldens.write_folder(tmp_path / "source", name)
    config = config_from_hf(read_config(folder)[0])
    params = read_params(folder, config)

    write_hf_folder(tmp_path / "out", params, config)  # no source: a config.json of our own

    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype="float32", attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    np.testing.assert_allclose(
        goldens.transformers_logits(model.eval(), goldens.tokens()),
        our_logits(params, config, goldens.tokens()),
        rtol=TOLERANCE,
        atol=TOLERANCE,
    )
