"""The shape of the mesh: what is left over, and what does not fit."""

from __future__ import annotations

import jax
import pytest

from jaxllm.errors import UserError
from jaxllm.parallel.mesh import MeshShape, describe_mesh, make_mesh


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (None, (8, 1, 1)),
        (MeshShape(), (8, 1, 1)),
        (MeshShape(data=1, fsdp=-1), (1, 8, 1)),
        (MeshShape(data=-1, fsdp=2, tensor=2), (2, 2, 2)),
        (MeshShape(data=2, fsdp=4, tensor=1), (2, 4, 1)),
    ],
)
def test_one_axis_may_take_the_rest(shape, sizes):
    mesh = make_mesh(shape)
    assert mesh.axis_names == ("data", "fsdp", "tensor")
    assert tuple(mesh.shape.values()) == sizes


def test_given_devices_only():
    mesh = make_mesh(MeshShape(data=1, fsdp=2), devices=jax.devices()[2:4])
    assert list(mesh.devices.flatten()) == jax.devices()[2:4]
    assert describe_mesh(mesh) == "2 cpu devices: data=1 fsdp=2 tensor=1"
    assert describe_mesh(make_mesh(devices=jax.devices()[:1])).startswith("1 cpu device:")


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        (MeshShape(data=3), "multiply to 8"),
        (MeshShape(data=-1, fsdp=3), "multiply to 8"),
        (MeshShape(data=2, fsdp=2, tensor=1), r"may be one of \[1, 2, 4, 8\]"),
        (MeshShape(data=-1, fsdp=-1), "only one axis may be -1"),
        (MeshShape(data=8, fsdp=0), "at least 1"),
        (MeshShape(data=-2), "at least 1"),
    ],
)
def test_a_shape_that_does_not_fit_is_told_what_would(shape, named):
    with pytest.raises(UserError, match=named):
        make_mesh(shape)
