"""From `config.model` to an architecture, and what is said when it is none."""

from __future__ import annotations

import pytest
from ml_collections import ConfigDict

from jaxllm.defaults import model_settings
from jaxllm.errors import UserError
from jaxllm.models.config import RopeScaling
from jaxllm.models.settings import model_config_from_settings
from jaxllm.models.zoo import get_config

_SIZES = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 8,
    "ffn_size": 64,
    "max_positions": 128,
}


def _settings(**changes) -> ConfigDict:
    return ConfigDict({**model_settings(), **changes})


def test_an_architecture_given_whole():
    settings = _settings(architecture=_SIZES, dtype="bfloat16", remat="dots")
    config = model_config_from_settings(settings, vocab_size=77)
    assert (config.vocab_size, config.hidden_size, config.num_kv_heads) == (77, 32, 2)
    assert (config.dtype, config.param_dtype, config.remat) == ("bfloat16", "float32", "dots")


def test_vocab_size_of_the_architecture_wins():
    settings = _settings(architecture={**_SIZES, "vocab_size": 96})
    assert model_config_from_settings(settings, vocab_size=77).vocab_size == 96


def test_a_released_model_with_a_change():
    settings = _settings(zoo="llm-jp-3-150m", architecture={"num_layers": 3})
    config = model_config_from_settings(settings, vocab_size=77)
    assert config == get_config("llm-jp-3-150m").replace(num_layers=3)


def test_rope_scaling_is_given_as_fields():
    settings = _settings(architecture={**_SIZES, "rope_scaling": {"kind": "linear", "factor": 2.0}})
    config = model_config_from_settings(settings, vocab_size=77)
    assert config.rope_scaling == RopeScaling(kind="linear", factor=2.0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architecture": {**_SIZES, "hidden": 3}}, "hidden_size"),
        ({"architecture": {**_SIZES, "dtype": "float32"}}, "architecture.dtype"),
        ({"architecture": {"hidden_size": 32}}, "num_layers"),
        ({"architecture": {**_SIZES, "num_kv_heads": 3}}, "num_kv_heads=3"),
        ({"architecture": {**_SIZES, "rope_scaling": {"kind": "linear"}}}, "factor"),
        ({"architecture": {**_SIZES, "rope_scaling": {"kind": "yarn", "factor": 2.0}}}, "yarn"),
        ({"architecture": _SIZES, "attention": "flash"}, "attention='flash'"),
        ({"zoo": "llm-jp-3-1.8"}, "llm-jp-3-1.8b"),
    ],
)
def test_what_cannot_be_is_told_by_its_field(changes, named):
    with pytest.raises(UserError, match=named):
        model_config_from_settings(_settings(**changes), vocab_size=77)
