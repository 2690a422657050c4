"""What is tried for a config that does not fit, and where."""

from __future__ import annotations

from jaxllm.defaults import evaluate_config, train_config
from jaxllm.planning.advice import Attempt, advice_lines, decoding_changes, single_changes
from jaxllm.planning.search import meshes
from jaxllm.planning.topology import parse_topology


def test_changes_go_from_time_to_precision():
    config = train_config()
    config.input.update(rows=32, accumulation=2)
    config.model.remat = "none"
    assert single_changes(config, {"data": 4, "fsdp": 2, "tensor": 1}, 1) == [
        ("model.remat=dots",),
        ("model.remat=full",),
        ("input.accumulation=4",),
        ("mesh.data=1", "mesh.fsdp=-1", "mesh.tensor=1"),
        ("optimizer.moment_dtype=bfloat16",),
        ("model.param_dtype=bfloat16",),
    ]


def test_what_is_done_already_is_not_tried():
    config = train_config()
    config.input.update(rows=8, accumulation=1)
    config.model.update(remat="full", param_dtype="bfloat16")
    config.optimizer.moment_dtype = "bfloat16"
    assert single_changes(config, {"data": 1, "fsdp": 8, "tensor": 1}, 1) == []


def test_decoding_gets_room_from_what_lies_beside_it_and_from_narrower_keys():
    mesh = {"data": 2, "fsdp": 2, "tensor": 1}
    widest = ("mesh.data=1", "mesh.fsdp=-1", "mesh.tensor=1")
    keys, weights = "model.dtype=bfloat16", "model.param_dtype=bfloat16"
    config = evaluate_config()
    assert decoding_changes(config, mesh, 1) == [widest, (keys,), (keys, weights)]
    config.model.dtype = "bfloat16"
    assert decoding_changes(config, mesh, 1) == [widest, (weights,)]
    config.model.param_dtype = "bfloat16"
    assert decoding_changes(config, {"data": 1, "fsdp": 4, "tensor": 1}, 1) == []
    config = train_config()
    config.input.update(rows=6, accumulation=1)  # rows that divide over no more devices
    moments = ("optimizer.moment_dtype=bfloat16",)
    assert decoding_changes(config, mesh, 1) == [(keys,), moments, (keys, weights)]


def test_a_change_that_fits_is_all_that_is_said():
    fails = Attempt(flags="--config.model.remat=dots", gib=20.04, fits=False)
    fits = Attempt(flags="--config.model.remat=full", gib=11.0, fits=True)
    assert advice_lines([fails, fits]) == ["--config.model.remat=full: fits, 11.0 GiB"]
    assert advice_lines([fails]) == ["--config.model.remat=dots: not enough, 20.0 GiB"]


def test_meshes_use_every_device_and_cross_slices_along_data():
    found = meshes(parse_topology("v5e:2x2", num_slices=2))
    assert {"data": 2, "fsdp": 4, "tensor": 1} in found
    assert all(one["data"] * one["fsdp"] * one["tensor"] == 8 for one in found)
    assert all(one["data"] % 2 == 0 for one in found)
