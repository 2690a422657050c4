"""The engine holds as few copies of the weights as it can."""

from __future__ import annotations

import jax

from jaxllm.decode.runtime import Runtime


def _runtime(params, config) -> Runtime:
    sizes = {"cache_bytes": 1 << 20, "max_rows": None, "row_length": 128, "min_steps": None}
    return Runtime(params, config, None, vocab_size=384, **sizes)


def test_only_layers_are_copied_where_weights_are_in_the_dtype_of_decoding(
    tiny_config, tiny_params
) -> None:
    plain = _runtime(tiny_params, tiny_config)
    assert plain.params["embed"]["tokens"] is tiny_params["embed"]["tokens"]
    assert len(plain.params["blocks"]) == tiny_config.num_layers
    narrow = _runtime(tiny_params, tiny_config.replace(dtype="bfloat16"))
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(narrow.params)} == {"bfloat16"}
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(tiny_params)} == {"float32"}
