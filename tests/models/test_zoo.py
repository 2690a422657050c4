from __future__ import annotations

import re

import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import num_params
from jaxllm.models.zoo import ZOO, get_config


def embedding_params(config):
    tables = 1 if config.tie_embeddings else 2
    return tables * config.vocab_size * config.hidden_size


def test_counts_are_those_of_the_model_cards():
    config = get_config("llm-jp-3-1.8b")
    assert num_params(config) - embedding_params(config) == 1_459_718_144
    assert embedding_params(config) == 407_896_064
    assert num_params(get_config("llm-jp-4-8b")) == 8_590_200_832


@pytest.mark.parametrize("name", ZOO)
def test_counts_fit_the_names(name):
    size, unit = re.search(r"-([0-9.]+)(b|m)(-|$)", name).group(1, 2)
    named = float(size) * {"b": 1e9, "m": 1e6}[unit]

    assert num_params(ZOO[name].config) == pytest.approx(named, rel=0.08)


def test_changes_and_the_hub_name():
    config = get_config("llm-jp/llm-jp-3-150m", num_layers=2, dtype="bfloat16")

    assert (config.num_layers, config.dtype, config.head_dim) == (2, "bfloat16", 64)


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(UserError, match=r"llm-jp-3-1\.8b"):
        get_config("llm-jp-3-1.7b")
