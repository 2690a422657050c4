"""Contract: what requests share is run once, and the answers are those of requests asked alone."""

from __future__ import annotations

import numpy as np
import pytest

from jaxllm.decode import Engine, Request, ScoreRequest


def test_prefix_cache_changes_nothing(tiny_config, tiny_params, tiny_tokenizer):
    rng = np.random.default_rng(0)
    common = [tuple(rng.integers(3, 380, length).tolist()) for length in (150, 100)]
    requests = [
        Request(
            prompt_ids=(*common[index % 2], *rng.integers(3, 380, 3 + index).tolist()),
            id=f"r{index}",
            ignore_eos=True,
            max_new_tokens=4 + index,
        )
        for index in range(12)
    ]
    engine = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=4)
    together = engine.generate(requests)
    assert engine.stats.prefix_tokens == 250
    assert engine.stats.own_tokens == sum(3 + index for index in range(12))
    for request, answer in zip(requests, together, strict=True):
        alone = Engine(tiny_params, tiny_config, tiny_tokenizer).generate([request])[0]
        assert answer.token_ids == alone.token_ids
        assert answer.logprob == pytest.approx(alone.logprob, abs=1e-5, rel=1e-5)


def test_choices_behind_one_prompt_share_it(tiny_config, tiny_params, tiny_tokenizer):
    rng = np.random.default_rng(0)
    prompt = tuple(rng.integers(3, 380, 120).tolist())
    requests = [
        ScoreRequest(id=str(n), prompt_ids=prompt, continuation_ids=tuple(range(5, 5 + n)))
        for n in range(1, 9)
    ]
    engine = Engine(tiny_params, tiny_config, tiny_tokenizer)
    for request, score in zip(requests, engine.score(requests), strict=True):
        alone = Engine(tiny_params, tiny_config, tiny_tokenizer).score([request])[0]
        assert score.logprob == pytest.approx(alone.logprob, abs=1e-5, rel=1e-5)
    # All of the prompt but its last token, whose logits choose the first one of a continuation.
    assert engine.stats.prefix_tokens == 119
