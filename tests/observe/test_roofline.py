"""The roofline of decoding on counts that can be done by hand."""

from __future__ import annotations

import pytest

from jaxllm.models.config import ModelConfig
from jaxllm.observe.roofline import decode_roofline

_TINY = ModelConfig(
    vocab_size=10,
    hidden_size=4,
    num_layers=1,
    num_heads=1,
    num_kv_heads=1,
    head_dim=4,
    ffn_size=8,
    max_positions=16,
    gated_mlp=False,
)
_PER_TOKEN = 2 * (4 * 4 * 4 + 4 * 8 * 2)
_LOGITS = 2 * 4 * 10


def _seconds(**changes):
    asked = {
        "prefilled_tokens": 3,
        "prompt_lengths": [3],
        "answer_lengths": [1],
        "rows": 2,
        "weight_bytes": 1000,
        "bytes_per_number": 4,
        "flops_per_s": 1.0,
        "bytes_per_s": 1e30,
    }
    return decode_roofline(_TINY, **(asked | changes))


def test_an_answer_of_one_token_is_prefill_alone():
    attention = 4 * 4 * (1 + 2 + 3)
    assert _seconds() == pytest.approx(3 * _PER_TOKEN + attention + _LOGITS)
    assert _seconds(flops_per_s=1e30) == pytest.approx(0, abs=1e-20)


def test_steps_read_the_weights_once_for_all_rows_and_the_keys_of_each():
    # Three requests of four steps each, two at a time: six steps. A step sees what stands before
    # it and itself.
    seconds = _seconds(
        prompt_lengths=[3, 3, 3],
        prefilled_tokens=9,
        answer_lengths=[5, 5, 5],
        flops_per_s=1e30,
        bytes_per_s=1.0,
    )
    keys = 2 * 4 * 4
    assert seconds == pytest.approx(6 * 1000 + 3 * (4 + 5 + 6 + 7) * keys)


def test_many_rows_are_bound_by_arithmetic():
    alone = _seconds()
    longer = _seconds(answer_lengths=[11])
    assert longer - alone == pytest.approx(10 * (_PER_TOKEN + _LOGITS))


def test_the_longest_answer_bounds_the_steps():
    asked = {"prompt_lengths": [3, 3], "prefilled_tokens": 6, "flops_per_s": 1e30}
    even = _seconds(**asked, answer_lengths=[4, 4], bytes_per_s=1.0)
    uneven = _seconds(**asked, answer_lengths=[1, 7], bytes_per_s=1.0)
    assert uneven > even + 2 * 1000
