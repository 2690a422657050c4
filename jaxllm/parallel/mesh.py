"""The named device mesh: `data`, `fsdp` and `tensor` axes over all devices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from jaxllm.errors import UserError

AXES = ("data", "fsdp", "tensor")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshShape:
    """Devices along each axis; one of them may be -1, "whatever is left".

    `data` replicates the weights and splits the batch, `fsdp` splits weights and batch, `tensor`
    splits heads, feed-forward width and vocabulary.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1


def make_mesh(shape: MeshShape | None = None, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of the given shape over all devices (or those given).

    Devices that are neighbours in a TPU's torus are neighbours along the axes, `tensor` first. Of
    several slices, which a slower network joins, `data` holds one after another.

    Raises:
        UserError: the shape does not use every device exactly once, or `data` does not divide over
            the slices; the message says which sizes would.
    """
    shape = shape or MeshShape()
    devices = list(jax.devices() if devices is None else devices)
    sizes = _resolve(shape, len(devices))
    return Mesh(_arranged(sizes, devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def describe_mesh(mesh: Mesh) -> str:
    """The resolved layout on one line, as `8 cpu devices: data=2 fsdp=2 tensor=2`."""
    devices = mesh.devices.flatten()
    axes = " ".join(f"{name}={size}" for name, size in mesh.shape.items())
    kind = devices[0].platform
    return f"{len(devices)} {kind} device{'s' if len(devices) > 1 else ''}: {axes}"


def platform() -> str:
    """What programs are compiled for: devices of the ambient mesh, else JAX's default ones."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def _arranged(sizes: dict[str, int], devices: list[jax.Device]) -> np.ndarray:
    # A torus has two or three axes, none of which need be as long as an axis of ours.
    num_slices = 1
    if devices[0].platform == "tpu":  # elsewhere a slice is a host
        num_slices = len({getattr(device, "slice_index", 0) for device in devices})
    if num_slices == 1:
        return mesh_utils.create_device_mesh(
            tuple(sizes.values()), devices, allow_split_physical_axes=True
        )
    if sizes["data"] % num_slices:
        raise UserError(
            f"mesh {_text(sizes)} on {num_slices} slices: only `data` may cross from one slice to "
            f"another, so its size must be a multiple of {num_slices}: "
            f"--config.mesh.data={num_slices} --config.mesh.fsdp=-1"
        )
    inside = {**sizes, "data": sizes["data"] // num_slices}
    return mesh_utils.create_hybrid_device_mesh(
        tuple(inside.values()),
        (num_slices, 1, 1),
        devices,
        allow_split_physical_axes=True,
    )


def _resolve(shape: MeshShape, num_devices: int) -> dict[str, int]:
    sizes = {axis: getattr(shape, axis) for axis in AXES}
    open_axes = [axis for axis, size in sizes.items() if size == -1]
    fixed = {axis: size for axis, size in sizes.items() if size != -1}
    if any(size < 1 for size in fixed.values()) or len(open_axes) > 1:
        raise UserError(
            f"mesh {_text(sizes)}: sizes are at least 1, and only one axis may be -1 "
            "(the rest of the devices)"
        )
    product = math.prod(fixed.values())
    if open_axes and num_devices % product == 0:
        sizes[open_axes[0]] = num_devices // product
        return sizes
    if not open_axes and product == num_devices:
        return sizes
    divisors = [d for d in range(1, num_devices + 1) if num_devices % d == 0]
    raise UserError(
        f"mesh {_text(sizes)} does not fit {num_devices} device{'s' if num_devices > 1 else ''}: "
        f"the sizes must multiply to {num_devices}; each axis may be one of {divisors}, "
        "for instance data=-1 fsdp=1 tensor=1"
    )


def _text(sizes: dict[str, int]) -> str:
    return " ".join(f"{axis}={size}" for axis, size in sizes.items())
