"""Which changes of a model its fingerprint notices."""

from __future__ import annotations

from jaxllm.weights.fingerprint import model_fingerprint


def test_what_is_computed_with_the_weights_counts(tiny_config, tiny_tokenizer):
    one = model_fingerprint("weights", tiny_config, tiny_tokenizer)
    assert one == model_fingerprint("weights", tiny_config.replace(), tiny_tokenizer)
    assert one != model_fingerprint("others", tiny_config, tiny_tokenizer)
    for change in ({"dtype": "bfloat16"}, {"rope_theta": 5e5}, {"attention": "xla"}):
        assert one != model_fingerprint("weights", tiny_config.replace(**change), tiny_tokenizer)
