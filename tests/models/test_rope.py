"""Rotary positions and their scaling against the formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jaxllm.models.config import RopeScaling
from jaxllm.models.rope import rotary_frequencies, rotary_tables, rotate


def _plain(head_dim, theta):
    return [theta ** (-2 * i / head_dim) for i in range(head_dim // 2)]


def test_frequencies(tiny_config):
    config = tiny_config.replace(head_dim=64, rope_theta=500_000.0)
    np.testing.assert_allclose(rotary_frequencies(config), _plain(64, 500_000.0), rtol=2e-6)


def test_linear_scaling_divides_positions(tiny_config):
    scaled = tiny_config.replace(rope_scaling=RopeScaling(kind="linear", factor=4.0))
    positions = np.arange(0, 40, 4)[None]
    plain = rotary_tables(tiny_config, positions // 4)
    for one, other in zip(plain, rotary_tables(scaled, positions), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_llama3_scaling_case_by_case(tiny_config):
    scaling = RopeScaling(
        kind="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_positions=8192,
    )
    config = tiny_config.replace(head_dim=128, rope_theta=500_000.0, rope_scaling=scaling)
    wanted, cases = [], set()
    for frequency in _plain(128, 500_000.0):
        wavelength = 2 * math.pi / frequency
        if wavelength < 8192 / 4.0:
            cases.add("kept")
            wanted.append(frequency)
        elif wavelength > 8192 / 1.0:
            cases.add("stretched")
            wanted.append(frequency / 8.0)
        else:
            cases.add("between")
            smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0)
            wanted.append((1 - smooth) * frequency / 8.0 + smooth * frequency)
    assert cases == {"kept", "between", "stretched"}
    np.testing.assert_allclose(rotary_frequencies(config), wanted, rtol=2e-6)


def test_rotation_is_complex_multiplication_of_the_two_halves(tiny_config):
    x = np.random.default_rng(0).normal(size=(1, 5, 2, 8)).astype(np.float32)
    positions = np.array([[0, 1, 2, 7, 100]])
    rotated = np.asarray(rotate(x, rotary_tables(tiny_config, positions)))
    for place, position in enumerate(positions[0]):
        turn = np.exp(1j * position * np.array(_plain(8, 10_000.0)))
        wanted = (x[0, place, :, :4] + 1j * x[0, place, :, 4:]) * turn
        np.testing.assert_allclose(rotated[0, place, :, :4], wanted.real, atol=1e-4)
        np.testing.assert_allclose(rotated[0, place, :, 4:], wanted.imag, atol=1e-4)


@pytest.mark.parametrize("shift", [3, 50])
def test_scores_depend_on_distance_only(tiny_config, shift):
    rng = np.random.default_rng(0)
    q, k = (rng.normal(size=(1, 1, 1, 8)).astype(np.float32) for _ in range(2))

    def score(at_q, at_k):
        tables = [rotary_tables(tiny_config, np.array([[at]])) for at in (at_q, at_k)]
        return float(np.sum(rotate(q, tables[0]) * rotate(k, tables[1])))

    assert score(9, 4) == pytest.approx(score(9 + shift, 4 + shift), abs=1e-4)
    assert abs(score(9, 4) - score(9, 8)) > 1e-3
