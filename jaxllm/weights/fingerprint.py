"""Which model gave an answer: a digest of its weights and of all else that decides what it says."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import jax

import jaxllm
from jaxllm.models.config import ModelConfig
from jaxllm.text.tokenizer import Tokenizer


def model_fingerprint(weights: str, config: ModelConfig, tokenizer: Tokenizer) -> str:
    """The sha256 of what decides a model's answers besides the request.

    That is its weights (their `weights_digest`), architecture, dtypes and attention, the tokenizer,
    the version of this program and the platform it computes on. How the weights are sharded does
    not enter.
    """
    meaning = [
        weights,
        dataclasses.asdict(config),
        tokenizer.digest,
        jaxllm.__version__,
        jax.default_backend(),
    ]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
