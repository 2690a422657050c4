"""Bytes of a device, counted on abstract arrays against sums by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from jaxllm.defaults import train_config
from jaxllm.models.decoder import num_params
from jaxllm.objectives.objective import DataFacts
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.planning.memory import count_memory
from jaxllm.planning.programs import planned_model, read_facts, train_call
from jaxllm.planning.work import count_work

_ROWS, _LENGTH, _LAYERS, _HIDDEN = 8, 64, 3, 32


@pytest.fixture
def config():
    config = train_config()
    config.model.architecture = {
        "vocab_size": 96,
        "hidden_size": _HIDDEN,
        "num_layers": _LAYERS,
        "num_heads": 4,
        "num_kv_heads": 2,
        "head_dim": 8,
        "ffn_size": 64,
        "max_positions": 128,
    }
    config.input.update(rows=_ROWS, max_length=_LENGTH)
    config.steps = 10
    return config


def _memory(config, **mesh_shape):
    """Memory, work and model of `config` on four devices."""
    mesh = make_mesh(MeshShape(**mesh_shape), jax.devices()[:4])
    model = planned_model(config)
    call = train_call(config, model, mesh, read_facts(config, mesh, from_data=False))
    memory = count_memory(call, model, mesh)
    return memory, count_work(call, model, memory, mesh), model


def test_what_is_split_over_fsdp_is_there_once(config):
    whole, _, model = _memory(config, data=4)
    split, _, _ = _memory(config, data=1, fsdp=4)
    assert whole.parameters == whole.gradients == 4 * num_params(model)
    # Norms are on every device.
    norms = 4 * (2 * _LAYERS + 1) * _HIDDEN
    assert split.parameters == (whole.parameters - norms) // 4 + norms
    assert whole.optimizer == pytest.approx(2 * whole.parameters, abs=100)
    assert split.batch == 6 * 4 * _ROWS // 4 * _LENGTH


def test_full_remat_keeps_what_enters_each_layer(config):
    config.model.remat = "full"
    full, work, _ = _memory(config, data=4)
    config.model.architecture.num_layers = 2 * _LAYERS
    deeper, _, _ = _memory(config, data=4)
    entering = (_ROWS // 4) * _LENGTH * _HIDDEN * 4
    assert deeper.activations - full.activations == _LAYERS * entering
    config.model.architecture.num_layers = _LAYERS
    config.model.remat = "none"
    none, plain, _ = _memory(config, data=4)
    assert none.activations > 4 * full.activations
    assert plain.flops == work.flops
    assert work.recomputed_flops > plain.recomputed_flops


def test_heads_and_feed_forward_are_split_over_tensor(config):
    alone, _, _ = _memory(config, data=2, fsdp=2)
    split, _, _ = _memory(config, data=1, fsdp=2, tensor=2)
    # Twice the rows of a half of each layer's width, beside what no axis splits.
    assert alone.activations < split.activations < 2 * alone.activations


def test_micro_batches_keep_less_and_sum_gradients(config):
    once, _, _ = _memory(config, data=4)
    config.input.accumulation = 2
    twice, _, _ = _memory(config, data=4)
    assert twice.activations < 0.6 * once.activations
    assert twice.gradients == 2 * once.gradients


def test_adapters_have_the_only_moments(config):
    plain, full, _ = _memory(config, data=4)
    config.lora.rank = 2
    adapted, tuned, _ = _memory(config, data=4)
    assert adapted.parameters > plain.parameters
    assert adapted.optimizer < plain.optimizer / 4
    assert tuned.flops < full.flops


def test_bfloat16_moments_save_a_quarter_of_adamw(config):
    plain, _, _ = _memory(config, data=4)
    config.optimizer.moment_dtype = "bfloat16"
    halved, _, _ = _memory(config, data=4)
    assert halved.optimizer == pytest.approx(0.75 * plain.optimizer, abs=100)


def test_the_step_that_is_planned_is_one_that_runs(config):
    mesh = make_mesh(MeshShape(data=2, fsdp=2), jax.devices()[:4])
    config.input.accumulation = 2
    call = train_call(config, planned_model(config), mesh, DataFacts(num_steps=10))
    zeros = jax.tree.map(
        lambda leaf: jax.device_put(jnp.zeros(leaf.shape, leaf.dtype), leaf.sharding),
        (call.state, call.frozen, call.batch),
    )
    with jax.set_mesh(mesh):
        state, metrics = call.step(*zeros)
    assert int(state["step"]) == 1
    assert float(metrics["loss"]) == 0.0
    assert jax.tree.map(lambda leaf: leaf.sharding, state) == jax.tree.map(
        lambda leaf: leaf.sharding, call.state
    )
