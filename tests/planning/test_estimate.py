"""The roofline of a step, by hand."""

from __future__ import annotations

import pytest

from jaxllm.planning.collectives import Collective
from jaxllm.planning.estimate import Work, estimate_step, run_hours
from jaxllm.planning.topology import parse_topology

_WORK = Work(tokens=32_000, flops=16 * 197e12, recomputed_flops=8 * 197e12, device_bytes=819e9)


def _sent(fast: float, slow: float = 0.0) -> list[Collective]:
    return [
        Collective(kind="all-reduce", axes=("data",), count=1, bytes=fast + slow, slow_bytes=slow)
    ]


def test_a_step_takes_as_long_as_its_slowest_resource():
    found = estimate_step(_WORK, _sent(100e9), parse_topology("v5e:4x4"))
    assert found.compute_s == pytest.approx(1.5)
    assert found.memory_s == pytest.approx(1.0)
    assert found.ici_s == pytest.approx(0.5)
    assert (found.step_s, found.bound_by) == (found.compute_s, "arithmetic")
    assert found.tokens_per_s_per_chip == pytest.approx(32_000 / 16 / 1.5)


def test_what_crosses_slices_goes_through_the_slow_network():
    topology = parse_topology("v5e:2x4", num_slices=2)
    found = estimate_step(_WORK, _sent(0.0, slow=31.25e9), topology)
    assert found.dcn_s == pytest.approx(10.0)
    assert found.bound_by == "network between slices"


def test_two_devices_share_a_chip_of_tpu7x():
    found = estimate_step(_WORK, _sent(300e9), parse_topology("tpu7x:2x2x1"))
    assert found.memory_s == pytest.approx(2 * 819 / 7380)
    assert found.ici_s == pytest.approx(1.0)


def test_hours_follow_from_the_share_of_the_peak_unless_something_else_is_slower():
    topology = parse_topology("v5e:4x4")
    least = estimate_step(_WORK, _sent(100e9), topology)
    assert run_hours(_WORK, least, topology, num_steps=3600, mfu=0.5) == pytest.approx(2.0)
    assert run_hours(_WORK, least, topology, num_steps=3600, mfu=1.0) == pytest.approx(1.5)
