from __future__ import annotations

import errno
import os
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.objectives.train_state import abstract_state, fresh_params, fresh_state
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.weights.checkpoint import Checkpoints, restore_params

CONFIG = ModelConfig(
    vocab_size=48, hidden_size=16, num_layers=2, num_heads=2, num_kv_heads=2, head_dim=8,
    ffn_size=32, max_positions=32,
)  # fmt: skip
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))


def target(config=CONFIG, optimizer=OPTIMIZER, mesh_shape=None):
    return abstract_state(config, optimizer, make_mesh(mesh_shape))


@pytest.fixture(scope="module")
def state():
    params = fresh_params(CONFIG, make_mesh(), seed=0)
    return fresh_state(params, OPTIMIZER, target())


def opened(folder, **settings):
    return Checkpoints(folder, model_config=CONFIG, **settings)


def save(folder, state, steps, metrics=None, **settings):
    checkpoints = opened(folder, **settings)
    for step in steps:
        scores = None if metrics is None else metrics(step)
        checkpoints.save(step, state | {"step": jnp.int32(step)}, scores, {"seen": step * 10})
    checkpoints.close()


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


@pytest.fixture
def damage():
    """Cuts every data file of a step's weights in half, as a disk that filled up would."""

    def cut(folder, step):
        for path in (folder / str(step) / "params").rglob("d/*"):
            os.truncate(path, path.stat().st_size // 2)

    yield cut
    # Orbax gives up at the first array; the reads of the others end later, in its own threads,
    # and complain that nobody waits for them. Not in the next test.
    time.sleep(0.5)


ORBAX_COMPLAINS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("mesh_shape", [None, MeshShape(data=1, fsdp=4, tensor=2)])
def test_a_state_comes_back_on_any_mesh(mesh_shape, state, tmp_path):
    save(tmp_path, state, [3])
    wanted = target(mesh_shape=mesh_shape)

    restored, extra = opened(tmp_path).restore(None, wanted)

    assert extra == {"seen": 30}
    assert int(restored["step"]) == 3
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    expected = state | {"step": jnp.int32(3)}
    jax.tree.map(np.testing.assert_array_equal, restored, expected)
    assert jax.tree.all(jax.tree.map(lambda a, w: a.sharding == w.sharding, restored, wanted))


def test_which_steps_stay(state, tmp_path):
    save(
        tmp_path,
        state,
        range(1, 10),
        metrics=lambda step: {"loss": abs(step - 3.0)},
        keep_last=2,
        keep_every=4,
        best_metric="loss",
        best_mode="min",
    )

    assert steps_in(tmp_path) == [3, 4, 8, 9]


def test_the_best_step_is_remembered_by_a_resumed_run(state, tmp_path):
    settings = {"best_metric": "score", "best_mode": "max"}
    save(tmp_path, state, [1, 2], metrics=lambda step: {"score": -float(step)}, **settings)
    save(tmp_path, state, [3, 4], metrics=lambda step: {"score": -float(step)}, **settings)

    assert steps_in(tmp_path) == [1, 4]


def test_a_metric_that_is_not_there_is_told(state, tmp_path, capsys):
    save(tmp_path, state, [1], metrics=lambda step: {"loss": 1.0}, best_metric="los")

    assert "'los'" in capsys.readouterr().err
    assert steps_in(tmp_path) == [1]


def test_a_save_that_was_cut_off_is_removed(state, tmp_path, capsys):
    save(tmp_path, state, [1, 2], keep_last=2)
    (tmp_path / "2").rename(tmp_path / "2.orbax-checkpoint-tmp")
    shutil.rmtree(tmp_path / "2.orbax-checkpoint-tmp" / "params")

    checkpoints = opened(tmp_path)

    assert checkpoints.latest_step() == 1
    assert f"removing {tmp_path}/2.orbax-checkpoint-tmp: its" in capsys.readouterr().err
    checkpoints.close()
    assert steps_in(tmp_path) == [1]
    assert not list(tmp_path.glob("*tmp*"))


@ORBAX_COMPLAINS
def test_a_damaged_checkpoint_is_passed_over_and_replaced(damage, state, tmp_path, capsys):
    save(tmp_path, state, [1, 2, 3], keep_last=3)
    damage(tmp_path, 3)
    shutil.rmtree(tmp_path / "2" / "params")

    checkpoints = opened(tmp_path, keep_last=3)
    restored, extra = checkpoints.restore(None, target())

    assert (int(restored["step"]), extra) == (1, {"seen": 10})
    errors = capsys.readouterr().err
    assert f"passing over {tmp_path}/3: it is damaged" in errors
    assert f"passing over {tmp_path}/2: it is damaged" in errors
    checkpoints.save(2, state)
    checkpoints.close()
    assert opened(tmp_path).latest_step() == 2
    assert (tmp_path / "damaged-3-before-2").exists()


@ORBAX_COMPLAINS
def test_a_damaged_step_asked_for_by_number_is_an_error(damage, state, tmp_path):
    save(tmp_path, state, [1])
    damage(tmp_path, 1)

    with pytest.raises(UserError, match="cannot be read"):
        opened(tmp_path).restore(1, target())


def test_weights_alone(state, tmp_path):
    save(tmp_path, state, [1, 2], keep_last=2)
    shutil.rmtree(tmp_path / "2" / "rest")  # not needed for it

    params, step = restore_params(tmp_path, None, target()["params"])

    assert step == 2
    jax.tree.map(np.testing.assert_array_equal, params, state["params"])


@pytest.mark.parametrize(
    "wanted, told",
    [
        (
            lambda: target(CONFIG.replace(ffn_size=48)),
            r"down\.kernel is float32\[2, 32, 16\] in the checkpoint and float32\[2, 48, 16\] here",
        ),
        (lambda: target(CONFIG.replace(tie_embeddings=True)), "head.kernel is only in the"),
        (lambda: target(CONFIG.replace(qkv_bias=True)), "key.bias is not in the checkpoint"),
        (lambda: target(CONFIG.replace(param_dtype="bfloat16")), r"bfloat16\[2, 16, 16\] here"),
        (lambda: target(optimizer=optax.sgd(0.1)), "opt_state"),
    ],
)
def test_arrays_that_differ_are_listed(wanted, told, state, tmp_path):
    save(tmp_path, state, [1])

    with pytest.raises(UserError, match=told):
        opened(tmp_path).restore(None, wanted())


def test_no_checkpoint(state, tmp_path):
    checkpoints = opened(tmp_path / "new")
    assert checkpoints.latest_step() is None
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoints.restore(None, target())
    with pytest.raises(UserError, match="no step 7; it has none"):
        checkpoints.restore(7, target())


def test_a_step_that_is_there_is_left_alone_and_an_earlier_one_refused(state, tmp_path):
    save(tmp_path, state, [2])
    before = (tmp_path / "2").stat().st_mtime_ns

    save(tmp_path, state, [2])

    assert (tmp_path / "2").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="already holds step 2"):
        opened(tmp_path).save(1, state)


@pytest.mark.parametrize("when", ["at once", "in the background"])
def test_a_full_disk_names_the_folder_and_the_last_good_step(when, state, tmp_path, monkeypatch):
    save(tmp_path, state, [1])
    checkpoints = opened(tmp_path)
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*args, **kwargs):
        raise full if when == "at once" else ValueError("RESOURCE_EXHAUSTED: No space left")

    with monkeypatch.context() as patch:
        method = "save" if when == "at once" else "wait_until_finished"
        patch.setattr(checkpoints._manager, method, fail)
        with pytest.raises(UserError, match=f"{tmp_path} is full.*step 1 is the last good one"):
            checkpoints.save(2, state)
    checkpoints.close()


def test_other_errors_stay_what_they_are(state, tmp_path, monkeypatch):
    checkpoints = opened(tmp_path)

    def fail(*args, **kwargs):
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "save", fail)
        with pytest.raises(PermissionError):
            checkpoints.save(1, state)


@pytest.mark.parametrize(
    "settings", [{"keep_last": 0}, {"keep_every": -1}, {"best_mode": "biggest"}]
)
def test_settings_that_cannot_work(settings, tmp_path):
    with pytest.raises(UserError, match=next(iter(settings))):
        opened(tmp_path, **settings)


def test_a_relative_folder_works(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("run/checkpoints", state, [1])

    assert steps_in(tmp_path / "run" / "checkpoints") == [1]
