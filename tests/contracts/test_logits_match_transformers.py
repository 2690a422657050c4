"""logits_match_transformers: our forward computes what transformers computes, for every family.

The goldens hold transformers' logits; tests/parity/test_logits_live.py makes them anew.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxllm.models.decoder import forward, project_logits
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.safetensors_folder import read_params

GOLDENS = Path(__file__).parents[1] / "goldens"
MODELS = json.loads((GOLDENS / "models.json").read_text())
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def goldens():
    spec = importlib.util.spec_from_file_location("make_goldens", GOLDENS / "make_goldens.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", MODELS)
def test_logits_match_transformers(name, goldens, tmp_path):
    model = MODELS[name]
    tensors = {key: goldens.tensor(key, tuple(shape)) for key, shape in model["tensors"].items()}
    save_file(tensors, tmp_path / "model.safetensors")
    config = config_from_hf(model["config"])

    logits = our_logits(read_params(tmp_path, config), config, goldens.tokens())

    with np.load(GOLDENS / "logits.npz") as expected:
        np.testing.assert_allclose(
            logits[list(goldens.POSITIONS)], expected[name], rtol=TOLERANCE, atol=TOLERANCE
        )


def test_the_goldens_cover_every_config(goldens):
    assert list(MODELS) == list(goldens.CONFIGS)
    assert {name: model["config"] for name, model in MODELS.items()} == goldens.CONFIGS


def our_logits(params, config, ids):
    """Logits of one sequence, float32 [length, vocab]."""

    @jax.jit
    def run(params, ids_BT):
        positions = jnp.arange(ids_BT.shape[1])[None]
        hidden = forward(params, config, ids_BT, positions, jnp.ones_like(ids_BT))
        return project_logits(params, config, hidden)

    return np.asarray(run(params, jnp.asarray(ids)[None])[0])
