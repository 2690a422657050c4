"""Greedy answers of the engine against transformers' `generate`, request by request."""

from __future__ import annotations

import types

import numpy as np
import pytest

from jaxllm.decode import Engine, Request
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.safetensors_folder import read_config, read_params

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.parity,
    # What the two libraries complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

_VOCAB, _EOS = 400, 2


def _llama():
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=_VOCAB,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=128,
            max_position_embeddings=512,
            initializer_range=0.2,
            bos_token_id=1,
            eos_token_id=_EOS,
        )
    )


def _gpt2():
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=_VOCAB,
            n_embd=64,
            n_layer=3,
            n_head=4,
            n_positions=512,
            initializer_range=0.2,
            bos_token_id=1,
            eos_token_id=_EOS,
        )
    )


def _requests():
    """Two hundred prompts of 3 to 200 tokens; half of them share one of two beginnings."""
    draw = np.random.default_rng(0)
    beginnings = [draw.integers(3, _VOCAB, length).tolist() for length in (120, 90)]
    requests = []
    for index in range(200):
        shared = beginnings[index % 4] if index % 4 < 2 else []
        own = draw.integers(3, _VOCAB, draw.integers(3, 80)).tolist()
        requests.append(
            Request(
                id=str(index),
                prompt_ids=(*shared, *own),
                max_new_tokens=int(draw.integers(1, 25)),
            )
        )
    return requests


@pytest.mark.parametrize("make", [_llama, _gpt2])
def test_greedy_ids_are_those_of_transformers(make, tmp_path):
    torch.manual_seed(0)
    model = make().eval()
    model.save_pretrained(tmp_path)
    config = config_from_hf(read_config(tmp_path)[0])
    tokenizer = types.SimpleNamespace(
        name="ids",
        vocab_size=_VOCAB,
        eos_id=_EOS,
        extra_stop_ids=(),
        decode_continuation=lambda ids: " ".join(map(str, ids)),
    )
    engine = Engine(read_params(tmp_path, config), config, tokenizer, max_rows=16)
    requests = _requests()
    ended = 0
    for request, answer in zip(requests, engine.generate(requests), strict=True):
        ids = torch.tensor([request.prompt_ids])
        with torch.no_grad():
            wanted = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=request.max_new_tokens,
                do_sample=False,
                pad_token_id=0,
            )[0, ids.shape[1] :].tolist()
        assert list(answer.token_ids) == wanted
        ended += answer.finish_reason == "eos"
    assert engine.stats.prefix_tokens == 120 + 90
    assert ended > 0
