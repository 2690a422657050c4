"""Contract: a checkpoint is restored to the bit on another mesh, by fewer or more processes."""

from __future__ import annotations

import pytest

_DIGEST = """
import argparse, sys
import jax
import numpy as np
from jaxllm.models.config import ModelConfig
from jaxllm.objectives.optimizer import OptimizerSettings, make_optimizer
from jaxllm.objectives.train_state import abstract_state, fresh_params, fresh_state
from jaxllm.models.decoder import logical_axes
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.weights.checkpoint import Checkpoints
from jaxllm.weights.digest import weights_digest

folder, fsdp = sys.argv[1], int(sys.argv[2])
config = ModelConfig(
    vocab_size=400, hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8,
    ffn_size=64, max_positions=64,
)
parser = argparse.ArgumentParser()
add_process_flags(parser)
with joined(parser.parse_args([])):
    mesh = make_mesh(MeshShape(data=-1, fsdp=fsdp))
    with jax.set_mesh(mesh):
        optimizer = make_optimizer(OptimizerSettings(), 10, logical_axes(config))
        target = abstract_state(config, optimizer, mesh)
        checkpoints = Checkpoints(folder, model_config=config, keep_last=9)
        newest = checkpoints.latest_step()
        if newest is None:
            newest = 0
            state = fresh_state(fresh_params(config, mesh, seed=0), optimizer, target)
        else:
            state, _ = checkpoints.restore(newest, target)
        checkpoints.save(newest + 1, state)
        checkpoints.close()
        print(newest, weights_digest(state["params"]), file=sys.stderr)
"""


@pytest.mark.slow
def test_resume_on_another_mesh(start_processes, tmp_path) -> None:
    digests = set()
    for step, (processes, devices, fsdp) in enumerate([(4, 1, 4), (1, 4, 2), (4, 1, 2)]):
        said = start_processes(_DIGEST, processes, str(tmp_path), str(fsdp), devices=devices)
        for text in said:
            newest, digest = text.splitlines()[-1].split()
            assert int(newest) == step
            digests.add(digest)
    assert len(digests) == 1
