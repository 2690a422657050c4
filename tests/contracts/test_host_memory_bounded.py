"""Contract: a host that imports, saves or restores a model holds its shards and little else.

Two real processes share a model of 1 GB. What each of them needs at the most, beyond what it needed
before, stays below its half of the weights and 512 MB.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from jaxllm.models.config import ModelConfig
from jaxllm.weights.hf_config import config_text
from jaxllm.weights.safetensors_file import write_safetensors
from jaxllm.weights.tensors import TensorInfo, expected_shapes

_BUFFER_MB = 512
_CONFIG = ModelConfig(
    vocab_size=32_000,
    hidden_size=1024,
    num_layers=14,
    num_heads=16,
    num_kv_heads=16,
    head_dim=64,
    ffn_size=2816,
    max_positions=256,
    tie_embeddings=False,
)

_PROCESS = """
import argparse, json, pathlib, sys
import jax
import numpy as np
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.weights.checkpoint import Checkpoints, restore_params
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.load import load_model

source, folder = sys.argv[1:3]


def megabytes(field):
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024


def measured(work):
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is the present from here on
    before = megabytes("VmRSS")
    result = work()
    return result, round(megabytes("VmHWM") - before)


def held(tree):
    parts = [part.data.nbytes for leaf in jax.tree.leaves(tree) for part in leaf.addressable_shards]
    return sum(parts) / 2**20


parser = argparse.ArgumentParser()
add_process_flags(parser)
with joined(parser.parse_args([])):
    mesh = make_mesh(MeshShape(data=1, fsdp=2))
    weights_digest({"warm": jax.numpy.ones(8)})
    model, imported = measured(lambda: load_model(source, mesh=mesh, needs_tokenizer=False))
    shards, digest = held(model.params), weights_digest(model.params)
    checkpoints = Checkpoints(folder, model_config=model.config)

    def save():
        checkpoints.save(1, {"params": model.params, "step": np.int32(1)})
        checkpoints.wait()

    _, saved = measured(save)
    checkpoints.close()
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
        model.params,
    )
    del model
    (params, _), restored = measured(lambda: restore_params(folder, None, target))
    assert weights_digest(params) == digest
    print(json.dumps([shards, imported, saved, restored]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def hf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of 1 GB, written a tensor at a time."""
    folder = tmp_path_factory.mktemp("gigabyte")
    shapes = expected_shapes(_CONFIG)
    tensors = {n: TensorInfo(shape=s, dtype=np.dtype(np.float32)) for n, s in shapes.items()}
    assert 0.95e9 < sum(4 * math.prod(shape) for shape in shapes.values()) < 1.2e9
    rng = np.random.default_rng(0)
    with (folder / "model.safetensors").open("wb") as file:
        write_safetensors(
            file, tensors, lambda name: rng.random(shapes[name], np.float32) - np.float32(0.5)
        )
    text = config_text(_CONFIG, dtype="float32", source=None, token_ids={})
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.slow
def test_host_memory_bounded(hf_folder, tmp_path, start_processes):
    figures = start_processes(_PROCESS, 2, str(hf_folder), str(tmp_path / "checkpoints"))
    for number, said in enumerate(figures):
        shards, imported, saved, restored = json.loads(said.splitlines()[-1])
        assert 0.4 * 1024 < shards < 0.62 * 1024
        limit = shards + _BUFFER_MB
        assert imported < limit, f"process {number}: importing took {imported} MB"
        assert restored < limit, f"process {number}: restoring took {restored} MB"
        # The weights are there already.
        assert saved < _BUFFER_MB, f"process {number}: saving took {saved} MB"
