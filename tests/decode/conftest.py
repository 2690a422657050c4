"""Models whose answers are known: one decoded without a cache, one that recites a text."""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np
import pytest

from jaxllm.models.decoder import forward, project_logits

_LENGTH = 128


@functools.partial(jax.jit, static_argnums=(1, 3))
def _logprobs(params, config, tokens, vocab_size):
    length = tokens.shape[1]
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape)
    hidden = forward(params, config, tokens, positions, np.ones_like(positions))
    logits = project_logits(params, config, hidden)
    return jax.nn.log_softmax(logits.at[..., vocab_size:].set(-np.inf))


@pytest.fixture(scope="session")
def naive_logprobs(tiny_config, tiny_params, tiny_tokenizer):
    """From ids to the log-probabilities [length, vocab] after each, by one plain forward pass."""

    def logprobs(ids):
        tokens = np.zeros((1, _LENGTH), np.int32)
        tokens[0, : len(ids)] = ids
        table = _logprobs(tiny_params, tiny_config, tokens, tiny_tokenizer.vocab_size)
        return np.asarray(table)[0, : len(ids)]

    return logprobs


@pytest.fixture(scope="session")
def reciting_params(tiny_config, tiny_params):
    """From ids to weights whose greedy answer to ids[0] is ids[1:], whatever stood before."""

    def params(ids):
        # Layers that add nothing, and a head that answers the embedding of one token with the next.
        blocks = jax.tree.map(np.zeros_like, tiny_params["blocks"])
        embedding = np.random.default_rng(0).normal(size=(tiny_config.vocab_size, 32))
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        kernel = np.zeros((32, tiny_config.vocab_size))
        for token, following in itertools.pairwise(ids):
            kernel[:, following] += 20 * embedding[token]
        return {
            **tiny_params,
            "blocks": blocks,
            "embed": {"tokens": embedding.astype(np.float32)},
            "head": {"kernel": kernel.astype(np.float32)},
        }

    return params
