"""The step that `jaxllm plan` compiles is the one that `jaxllm train` runs."""

from __future__ import annotations

import jax
import pytest

import jaxllm.train as train_verb
from jaxllm.objectives import train_program
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.planning.programs import planned_model, read_facts, train_call


def test_the_step_that_is_planned_from_the_data_is_the_one_that_trains(
    tiny_train_config, tmp_path, monkeypatch
):
    config, lowered = tiny_train_config, []
    config.input.update(rows=16, accumulation=2)
    config.mesh.update(data=4, fsdp=2)
    make_train_step = train_program.make_train_step

    def make(*args, **kwargs):
        step = make_train_step(*args, **kwargs)

        def run(*state_and_batch):
            lowered.append(step.lower(*state_and_batch).as_text())
            raise KeyboardInterrupt

        return run

    with monkeypatch.context() as patch:
        patch.setattr(train_program, "make_train_step", make)
        with pytest.raises(KeyboardInterrupt):
            train_verb.train(config, tmp_path)
    mesh = make_mesh(MeshShape(**config.mesh))
    facts = read_facts(config, mesh, from_data=True)
    call = train_call(config, planned_model(config), mesh, facts)
    with jax.set_mesh(mesh):
        planned = call.step.lower(call.state, call.frozen, call.batch).as_text()
    # Of positions only as many are projected as carry loss among the rows of a device.
    assert 0 < facts.loss_capacity < 2 * config.input.max_length
    assert lowered == [planned]
