"""The linear product against jnp.dot, gradients included."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.models.products import linear_product


def _arrays(dtype):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 5, 8)), rng.normal(size=(8, 6))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, jnp.float32)


def _plain(x, kernel):
    return jnp.dot(x, kernel.astype(x.dtype), preferred_element_type=jnp.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_value_and_gradients_are_those_of_a_dot(dtype, tolerance):
    def run(product):
        def total(x, kernel):
            out = product(x, kernel)
            return jnp.sum(jnp.sin(out)), out

        return jax.grad(total, argnums=(0, 1), has_aux=True)(*_arrays(dtype))

    (grads, out), (wanted_grads, wanted) = run(linear_product), run(_plain)
    np.testing.assert_array_equal(out, wanted)
    for grad, other in zip(grads, wanted_grads, strict=True):
        assert grad.dtype == other.dtype
        close = {"atol": tolerance, "rtol": tolerance}
        np.testing.assert_allclose(grad.astype(np.float32), other.astype(np.float32), **close)


def _num_products(argnums) -> int:
    grad = jax.grad(lambda *arrays: jnp.sum(linear_product(*arrays)), argnums=argnums)
    return str(jax.make_jaxpr(grad)(*_arrays("float32"))).count("dot_general")


def test_a_frozen_kernel_costs_no_gradient():
    assert _num_products((0, 1)) == 3
    assert _num_products(0) == 2


def test_an_8_bit_kernel_is_multiplied_as_it_is():
    x, _ = _arrays("float32")
    kernel = jnp.asarray(np.random.default_rng(1).integers(-9, 9, (8, 6)), jnp.int8)
    grad = jax.grad(lambda x: jnp.sum(linear_product(x, kernel)))(x)
    np.testing.assert_allclose(grad, np.broadcast_to(kernel.sum(axis=1), x.shape), rtol=1e-6)
