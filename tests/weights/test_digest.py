"""Which changes of weights their digest notices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxllm.weights.digest import weights_digest

_WEIGHTS = np.random.default_rng(0).normal(size=(8, 24)).astype(np.float32)


def _changed(index, value):
    weights = _WEIGHTS.copy()
    weights[index] = value
    return weights


def _with_two_places_swapped():
    weights = _WEIGHTS.copy()
    weights[[2, 5], [3, 4]] = weights[[5, 2], [4, 3]]
    return weights


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(
    "other",
    [
        _changed((3, 4), np.nextafter(_WEIGHTS[3, 4], np.float32(9)) * np.float32(1.02)),
        _changed((0, 0), -_WEIGHTS[0, 0]),
        _with_two_places_swapped(),
        _WEIGHTS[::-1],
        _WEIGHTS[:, ::-1],
        _WEIGHTS.reshape(24, 8),
        _WEIGHTS.T,
    ],
    ids=["near", "sign", "swapped", "rows", "columns", "reshaped", "transposed"],
)
def test_another_array_has_another_digest(other, dtype):
    digest = weights_digest({"w": jnp.asarray(_WEIGHTS, dtype)})
    assert digest == weights_digest({"w": jnp.asarray(_WEIGHTS.copy(), dtype)})
    assert digest != weights_digest({"w": jnp.asarray(other, dtype)})


def test_the_smallest_change_is_noticed():
    near = _changed((7, 23), np.nextafter(_WEIGHTS[7, 23], np.float32(9)))
    assert weights_digest({"w": near}) != weights_digest({"w": _WEIGHTS})


def test_names_and_dtypes_count():
    zeros = jnp.zeros((4, 4))
    one = weights_digest({"a": zeros, "b": _WEIGHTS})
    assert weights_digest({"a": _WEIGHTS, "b": zeros}) != one
    assert weights_digest({"a": zeros, "c": _WEIGHTS}) != one
    assert weights_digest({"a": zeros.astype(jnp.bfloat16), "b": _WEIGHTS}) != one


def test_sharding_does_not_count():
    mesh = jax.make_mesh((4, 2), ("data", "tensor"))
    sharded = jax.device_put(_WEIGHTS, NamedSharding(mesh, PartitionSpec("data", "tensor")))
    assert weights_digest({"w": sharded}) == weights_digest({"w": _WEIGHTS})
