"""Slices of TPUs by both their names, and what the chips have."""

from __future__ import annotations

import math

import pytest

from jaxllm.cli import main
from jaxllm.errors import UserError
from jaxllm.planning.chips import CHIPS
from jaxllm.planning.topology import larger, parse_topology, topologies


@pytest.mark.parametrize(
    ("text", "name", "accelerator_type", "chips", "devices"),
    [
        ("v5p-32", "v5p:2x2x4", "v5p-32", 16, 16),  # TensorCores, two a chip
        ("v5p:2x2x4", "v5p:2x2x4", "v5p-32", 16, 16),
        ("v4-8", "v4:2x2x1", "v4-8", 4, 4),
        ("v5e:4x4", "v5e:4x4", "v5litepod-16", 16, 16),
        ("v5litepod-8", "v5e:2x4", "v5litepod-8", 8, 8),
        ("v5e-8", "v5e:2x4", "v5litepod-8", 8, 8),
        ("V6E-64", "v6e:8x8", "v6e-64", 64, 64),
        ("tpu7x:2x2x4", "tpu7x:2x2x4", "", 16, 32),  # two devices of JAX a chip
    ],
)
def test_both_namings_mean_the_same_slice(text, name, accelerator_type, chips, devices):
    topology = parse_topology(text)
    assert topology.name == name
    assert topology.accelerator_type == accelerator_type
    assert (topology.chips, topology.devices) == (chips, devices)


def test_several_slices_are_counted_together():
    topology = parse_topology("v5e:4x4", num_slices=2)
    assert topology.chips == 32
    assert topology.describe() == "2 slices of v5e:4x4 (v5litepod-16), 32 chips"


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("v5e:3x3", "v5e:4x4 \\(v5litepod-16\\)"),
        ("v5p-33", "v5p:2x2x4 \\(v5p-32\\)"),
        ("v5p:4x2x2", "v5p:2x2x4"),
        ("v5e", "v5e:1x1"),
        ("tpu7x-16", "tpu7x:2x2x4"),
        ("h100:8", "v4, v5e, v5p, v6e, tpu7x"),
        ("", "--topology=v5e:4x4"),
    ],
)
def test_a_wrong_name_is_told_the_right_ones(text, listed):
    with pytest.raises(UserError, match=listed):
        parse_topology(text)


def test_every_chip_has_slices_and_a_source():
    for chip in CHIPS.values():
        shapes = topologies(chip)
        assert all(len(shape) == chip.axes for shape in shapes)
        assert max(map(math.prod, shapes)) <= chip.largest
        assert chip.source.startswith("https://")


def test_larger_slices_come_in_order():
    names = [topology.name for topology in larger(parse_topology("v5e:2x4"))]
    assert names == ["v5e:4x4", "v5e:4x8", "v5e:8x8", "v5e:8x16", "v5e:16x16"]


def test_the_command_refuses_before_it_compiles(capsys):
    config = "--config=configs/smoke_cpu.py"
    assert main(["plan", config, "--topology=v5e:5x5"]) == 2
    assert "v5e:4x4 (v5litepod-16)" in capsys.readouterr().err
