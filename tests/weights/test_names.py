from __future__ import annotations

import json

import jax
import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import abstract_params
from jaxllm.models.zoo import ZOO
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.names import check_complete, table
from jaxllm.weights.tensors import expected_shapes


@pytest.mark.parametrize(
    "name", ["llama", "llama_tied", "llama_biases", "qwen2", "qwen3", "gpt2_gelu_new"]
)
def test_the_table_is_the_tree_and_the_files_names(name, tiny):
    config = config_from_hf(tiny.CONFIGS[name])
    paths = jax.tree_util.tree_leaves_with_path(abstract_params(config))
    keys = {tuple(key.key for key in path) for path, _ in paths}

    assert {row.path for row in table(config)} == keys
    assert len(table(config)) == len(keys)


@pytest.mark.parametrize("name", ["llama_biases", "qwen2", "qwen3", "gpt2_untied", "mistral"])
def test_names_and_shapes_are_those_of_transformers(name, tiny):
    stored = json.loads((tiny.FOLDER / "models.json").read_text())[name]["tensors"]

    found = expected_shapes(config_from_hf(tiny.CONFIGS[name]))

    assert found == {key: tuple(shape) for key, shape in stored.items()}


def test_an_error_lists_the_first_few_and_counts_the_rest():
    config = ZOO["llm-jp-3-150m"].config
    expected = expected_shapes(config)
    found = {name: shape for name, shape in expected.items() if ".11." not in name}

    with pytest.raises(UserError) as caught:
        check_complete(config, expected, found, where="folder")

    text = str(caught.value)
    assert text.startswith("folder: ")
    assert "missing 9 tensors: model.layers.11.self_attn.q_proj.weight [512, 512], " in text
    assert text.endswith(", ...")
