"""Contract: a checkpoint is restored to the bit on another mesh, by fewer or more processes.

A run that goes on there gets the same rows and comes to the same losses.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

import jaxllm.train as train_verb
from jaxllm.input.batches import make_batch
from jaxllm.input.mixture import read_mixture
from jaxllm.objectives import train_program
from jaxllm.observe.writer import read_scalars
from jaxllm.parallel.mesh import make_mesh
from jaxllm.text.tokenizer import load_tokenizer

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


# Steps to go, and the mesh: a start is interrupted two steps after a checkpoint.
_STARTS = [(6, {"data": 8}), (6, {"data": 1, "fsdp": 4, "tensor": 2}), (4, {"data": 1})]


@pytest.mark.slow
def test_training_goes_on_on_another_mesh(
    tiny_train_config, tiny_run, tmp_path, monkeypatch
) -> None:
    config, trained_on = tiny_train_config, {}
    make_train_step = train_program.make_train_step

    def make(*args, num_steps, **kwargs):
        step = make_train_step(*args, **kwargs)

        def run(state, frozen, batch):
            nonlocal num_steps
            if not num_steps:
                raise KeyboardInterrupt
            num_steps -= 1
            trained_on.setdefault(int(state["step"]), []).append(np.asarray(batch["tokens"])[0])
            return step(state, frozen, batch)

        return run

    for num_steps, shape in _STARTS:
        config.mesh.update({"fsdp": 1, "tensor": 1} | shape)
        devices = jax.devices()[: np.prod(list(shape.values()))]
        mesh = functools.partial(make_mesh, devices=devices)
        monkeypatch.setattr(train_verb, "make_mesh", mesh)
        counted = functools.partial(make, num_steps=num_steps)
        monkeypatch.setattr(train_program, "make_train_step", counted)
        try:
            train_verb.train(config, tmp_path)
        except KeyboardInterrupt:
            assert num_steps == 6
    mixture = read_mixture(config, load_tokenizer(config.tokenizer), data_dir=tmp_path)
    # Steps 5, 6, 9 and 10 were made twice, on two meshes.
    assert [len(trained_on[step]) for step in range(12)] == [1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1]
    for step, batches in trained_on.items():
        wanted = make_batch(mixture.plan, step, mixture.sources)["tokens"]
        assert all(np.array_equal(tokens, wanted) for tokens in batches)
    losses, whole = ([row["loss"] for row in read_scalars(run)] for run in (tmp_path, tiny_run))
    assert len(losses) == 12
    np.testing.assert_allclose(losses, whole, atol=1e-5, rtol=0)
