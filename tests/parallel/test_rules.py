"""The table from logical axes to mesh axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from jaxllm.errors import UserError
from jaxllm.models.decoder import abstract_params, logical_axes
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.rules import constrain, partition_spec, sharding, shardings


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshShape(data=2, fsdp=2, tensor=2))


def test_axes_of_weights_and_activations():
    assert partition_spec(("layers", "embed", "ffn")) == PartitionSpec(None, "fsdp", "tensor")
    assert partition_spec(("batch", "length", None)) == PartitionSpec(("data", "fsdp"), None, None)


def test_every_axis_of_the_model_has_a_rule(mesh, tiny_config):
    config = tiny_config.replace(positions="learned", norm="layer", qkv_bias=True, qk_norm=True)
    layout = shardings(mesh, logical_axes(config), abstract_params(config))
    up = layout["blocks"]["mlp"]["up"]["kernel"]
    assert up.spec == PartitionSpec(None, "fsdp", "tensor")
    assert layout["final_norm"]["scale"].is_fully_replicated


@pytest.mark.parametrize("axis", ["vocab", "kv_heads"])
def test_what_may_stay_whole_stays_whole(mesh, axis):
    assert sharding(mesh, (axis, "embed"), (7, 4)).spec == PartitionSpec(None, "fsdp")
    assert sharding(mesh, (axis, "embed"), (8, 4)).spec == PartitionSpec("tensor", "fsdp")


def test_another_axis_that_does_not_divide_is_refused_with_sizes_that_do():
    mesh = make_mesh(MeshShape(data=1, fsdp=8))
    with pytest.raises(UserError, match=r"`embed` of 36 .*mesh\.fsdp from \[1, 2, 3, 4, 6\]"):
        sharding(mesh, ("embed", "ffn"), (36, 8))


def test_constrain_without_a_mesh_is_the_identity():
    x = jnp.ones((2, 3))
    assert constrain(x, "batch", "length") is x


def test_constrain_splits_activations_over_the_mesh(mesh):
    with jax.set_mesh(mesh):
        pinned = jax.jit(lambda x: constrain(x * 2, "batch", "length"))(jnp.ones((8, 3)))
    assert pinned.sharding.shard_shape(pinned.shape) == (2, 3)
