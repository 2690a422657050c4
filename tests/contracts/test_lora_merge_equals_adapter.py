"""Contract: a model with adapters and the one they are merged into are the same.

In the loss and in what is decoded; the gradients of the adapters are those that the merged weights'
gradients imply.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.decode import Engine, Request
from jaxllm.models.config import LoraConfig
from jaxllm.models.decoder import init_params
from jaxllm.models.lora import is_adapter, merged
from jaxllm.models.partition import combine, partition
from jaxllm.objectives.sft import sft_loss

_TARGETS = {
    "llama": ("attention.query", "attention.key", "attention.value", "attention.out",
              "mlp.gate", "mlp.up", "mlp.down", "embed", "head"),
    "gpt2": ("attention.qkv", "attention.out", "mlp.up", "mlp.down"),
}  # fmt: skip
_GPT2 = {
    "positions": "learned",
    "norm": "layer",
    "gated_mlp": False,
    "num_kv_heads": 4,
    "qkv_bias": True,
    "tie_embeddings": True,
}


def _model(tiny_config, family):
    lora = LoraConfig(rank=4, alpha=8.0, targets=_TARGETS[family], rslora=family == "llama")
    config = tiny_config.replace(lora=lora, **(_GPT2 if family == "gpt2" else {}))
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    adapters, base = partition(params, is_adapter)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(adapters))))
    adapters = jax.tree.map(lambda w: 0.1 * jax.random.normal(next(keys), w.shape), adapters)
    return config, adapters, base


def _batch(config):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, config.vocab_size, (2, 17), np.int32)
    return {
        "tokens": tokens[:, :-1],
        "targets": tokens[:, 1:],
        "segment_ids": np.repeat([[1] * 9 + [2] * 7], 2, axis=0).astype(np.int32),
        "positions": np.repeat([[*range(9), *range(7)]], 2, axis=0).astype(np.int32),
        "loss_weights": np.ones((2, 16), np.float32),
    }


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_lora_merge_equals_adapter(tiny_config, tiny_tokenizer, family):
    config, adapters, base = _model(tiny_config, family)
    plain, batch = config.replace(lora=None), _batch(config)

    @jax.jit
    def adapted(adapters):
        return sft_loss(combine(adapters, base), config, batch)[0]

    @jax.jit
    def whole(adapters):
        return sft_loss(merged(combine(adapters, base), config.lora), plain, batch)[0]

    (loss, grads), (merged_loss, merged_grads) = (
        jax.value_and_grad(run)(adapters) for run in (adapted, whole)
    )
    assert float(loss) == pytest.approx(float(merged_loss), rel=1e-5)
    without = sft_loss(base, plain, batch)[0]
    assert abs(float(loss) - float(without)) > 1
    for grad, wanted in zip(jax.tree.leaves(grads), jax.tree.leaves(merged_grads), strict=True):
        largest = float(jnp.max(jnp.abs(wanted)))
        assert largest > 0
        np.testing.assert_allclose(grad, wanted, atol=1e-4 * largest)

    requests = [
        Request(id=str(n), prompt_ids=tuple(range(3, 6 + n)), max_new_tokens=8, ignore_eos=True)
        for n in range(4)
    ]
    answers = [
        [answer.token_ids for answer in Engine(params, of, tiny_tokenizer).generate(requests)]
        for params, of in (
            (combine(adapters, base), config),
            (merged(combine(adapters, base), config.lora), plain),
        )
    ]
    assert answers[0] == answers[1]
