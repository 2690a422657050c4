"""Trees in two parts by the names of their leaves."""

from __future__ import annotations

import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import abstract_params, logical_axes
from jaxllm.models.partition import combine, leaf_names, partition, unfrozen


def test_two_parts_make_the_whole_again(tiny_config):
    axes = logical_axes(tiny_config)
    mlp, rest = partition(axes, lambda name: ".mlp." in name)
    assert sorted(leaf_names(mlp)) == [f"blocks.mlp.{n}.kernel" for n in ("down", "gate", "up")]
    assert "mlp" not in rest["blocks"]
    assert combine(mlp, rest) == combine(rest, mlp) == axes
    everything, nothing = partition(axes, lambda name: True)
    assert (everything, nothing) == (axes, {})


def test_patterns_choose_what_stays(tiny_config):
    params = abstract_params(tiny_config)
    is_trained = unfrozen(params, ("embed.*", "*.scale"))
    assert not is_trained("embed.tokens")
    assert not is_trained("blocks.mlp_norm.scale")
    assert is_trained("blocks.mlp.up.kernel")
    assert all(map(unfrozen(params, ()), leaf_names(params)))
    with pytest.raises(UserError, match=r"'embeds\.\*' matches no weight; .* embed\.tokens"):
        unfrozen(params, ("embeds.*",))
    with pytest.raises(UserError, match="leaves nothing to train"):
        unfrozen(params, ("*",))
