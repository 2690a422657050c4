from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxllm.errors import UserError
from jaxllm.input import device
from jaxllm.input.batches import make_batch
from jaxllm.input.device import prefetch
from jaxllm.input.plan import make_plan, plan_source


@pytest.fixture
def tokenized(make_source):
    lengths = np.random.default_rng(0).integers(2, 30, 300)
    return [make_source("a", lengths)]


@pytest.fixture
def plan(tokenized):
    return make_plan(
        [plan_source(s) for s in tokenized], seed=0, rows_per_step=8, row_length=32, num_steps=20
    )


@pytest.fixture
def sharding():
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    return NamedSharding(mesh, PartitionSpec(None, "data", None))


def _threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("accumulation", [1, 4])
def test_steps_come_in_order_with_the_rows_of_the_plan(plan, tokenized, sharding, accumulation):
    with prefetch(plan, tokenized, 5, 6, sharding, accumulation) as batches:
        steps = []
        for step, batch in batches:
            steps.append(step)
            expected = make_batch(plan, step, tokenized)
            for name, array in batch.items():
                assert array.shape == (accumulation, 8 // accumulation, 32)
                assert array.sharding == sharding
                rows = np.asarray(array).swapaxes(0, 1).reshape(8, 32)
                assert np.array_equal(rows, expected[name])
    assert steps == [5, 6, 7, 8, 9, 10]
    assert batches.wait_seconds > 0
    assert next(batches, None) is None
    assert _threads() == 0


def test_an_error_in_the_thread_reaches_the_consumer(plan, tokenized, sharding, monkeypatch):
    def broken(plan, step, *args):
        if step == 2:
            raise RuntimeError("step 2 is broken")
        return make_batch(plan, step, *args)

    monkeypatch.setattr(device, "make_batch", broken)
    batches = prefetch(plan, tokenized, 0, 5, sharding)
    assert [next(batches)[0], next(batches)[0]] == [0, 1]
    with pytest.raises(RuntimeError, match="step 2 is broken"):
        next(batches)
    assert next(batches, None) is None
    assert _threads() == 0


def test_leaving_early_ends_the_thread(plan, tokenized, sharding) -> None:
    with prefetch(plan, tokenized, 0, 20, sharding) as batches:
        next(batches)
        assert _threads() == 1
    assert _threads() == 0
    assert next(batches, None) is None
    batches.close()


def test_it_works_ahead_but_not_far(plan, tokenized, sharding, monkeypatch) -> None:
    made = []

    def counted(plan, step, *args):
        made.append(step)
        return make_batch(plan, step, *args)

    monkeypatch.setattr(device, "make_batch", counted)
    with prefetch(plan, tokenized, 0, 20, sharding) as batches:
        deadline = time.monotonic() + 10
        while len(made) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert made == [0, 1, 2]  # two in the queue, one in hand
        next(batches)


def test_what_the_user_can_get_wrong(plan, tokenized, sharding) -> None:
    with pytest.raises(UserError, match="accumulation 3"):
        prefetch(plan, tokenized, 0, 1, sharding, 3)
    with pytest.raises(UserError, match="raise num_steps"):
        prefetch(plan, tokenized, 15, 6, sharding)


_ON_EIGHT_DEVICES = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from jaxllm.input.batches import make_batch
from jaxllm.input.device import prefetch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource

lengths = np.random.default_rng(0).integers(2, 30, 200)
offsets = np.cumsum([0, *lengths])
source = TokenizedSource(
    name="a", ids=np.arange(offsets[-1], dtype=np.int32), example_ids=("",) * 200,
    loss_weights=np.ones(offsets[-1], np.float32), offsets=offsets,
    counts=TokenizeCounts(read=200, kept=200, truncated=0, dropped_long=0, dropped_untrained=0))
plan = make_plan([plan_source(source)], seed=0, rows_per_step=16, row_length=32, num_steps=2)
mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"))
for spec in (P(None, ("data", "fsdp"), None), P(None, "data", "tensor"), P(None, "fsdp"), P()):
    sharding = NamedSharding(mesh, spec)
    for step, batch in prefetch(plan, [source], 0, 2, sharding, 2):
        expected = make_batch(plan, step, [source])
        for name, array in batch.items():
            assert array.sharding == sharding
            rows = np.asarray(array).swapaxes(0, 1).reshape(16, 32)
            assert np.array_equal(rows, expected[name]), (spec, name)
print("same")
"""


def test_every_sharding_of_eight_devices_holds_the_same_batch() -> None:
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    done = subprocess.run(
        [sys.executable, "-c", _ON_EIGHT_DEVICES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "same\n", done.stderr


_ONE_OF_TWO_PROCESSES = """
import sys
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from jaxllm.input import device
from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource

number, address = int(sys.argv[1]), sys.argv[2]
jax.distributed.initialize(address, 2, number)
lengths = np.random.default_rng(0).integers(2, 30, 200)
offsets = np.cumsum([0, *lengths])
source = TokenizedSource(
    name="a", ids=np.arange(offsets[-1], dtype=np.int32), example_ids=("",) * 200,
    loss_weights=np.ones(offsets[-1], np.float32), offsets=offsets,
    counts=TokenizeCounts(read=200, kept=200, truncated=0, dropped_long=0, dropped_untrained=0))
plan = make_plan([plan_source(source)], seed=0, rows_per_step=16, row_length=32, num_steps=2)
built = []

def recorded(plan, step, tokenized, rows):
    built.append((rows.start, rows.stop))
    return make_batch(plan, step, tokenized, rows)

device.make_batch = recorded
sharding = NamedSharding(jax.make_mesh((2, 2), ("data", "tensor")), P(None, "data", None))
for accumulation in (1, 2):
    for step, batch in device.prefetch(plan, [source], 0, 2, sharding, accumulation):
        expected = make_batch(plan, step, [source])
        for name, array in batch.items():
            whole = expected[name].reshape(-1, accumulation, 32).swapaxes(0, 1)
            for part in array.addressable_shards:
                assert np.array_equal(np.asarray(part.data), whole[part.index]), name
assert set(built) == {(8 * number, 8 * number + 8)}, built
print("same")
"""


@pytest.mark.slow
def test_each_of_two_processes_builds_its_own_half_of_the_same_batch() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ONE_OF_TWO_PROCESSES, str(number), address],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (0, 1)
    ]
    try:
        for process in processes:
            output, errors = process.communicate(timeout=120)
            assert output.endswith("same\n"), errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()
