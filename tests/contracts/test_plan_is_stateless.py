"""Contract: what a step trains on follows from the seed and the step, and from nothing before it.

Step 12,345 computed directly is the one that is reached by iteration, and any number of hosts sees
the same global batch.
"""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxllm.input.batches import make_batch
from jaxllm.input.device import prefetch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.provenance import order_digest
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource

_STEP = 12_345
_ROWS = 4


def _source(name: str, num_examples: int) -> TokenizedSource:
    rng = np.random.default_rng(num_examples)
    offsets = np.cumsum([0, *np.clip(rng.lognormal(2.5, 0.7, num_examples).astype(int), 2, 33)])
    return TokenizedSource(
        name=name,
        ids=rng.integers(1, 30_000, offsets[-1]).astype(np.int32),
        loss_weights=rng.integers(0, 2, offsets[-1]).astype(np.float32),
        offsets=offsets,
        example_ids=tuple(map(str, range(num_examples))),
        counts=TokenizeCounts(
            read=num_examples, kept=num_examples, truncated=0, dropped_long=0, dropped_untrained=0
        ),
    )


@pytest.fixture(scope="module")
def sources():
    return [_source("jnli", 3000), _source("mine", 700), _source("safety", 40)]


def _plan(sources, packing: str, **length):
    return make_plan(
        [
            plan_source(sources[0], weight=1.0),
            plan_source(sources[1], weight=4.0),
            plan_source(sources[2], repeat=16),
        ],
        seed=7,
        rows_per_step=_ROWS,
        row_length=32,
        packing=packing,
        **length or {"num_steps": _STEP + 1},
    )


def _equal(one, other) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("packing", ["best_fit", "none", "concat"])
def test_a_step_computed_directly_is_the_one_reached_by_iteration(sources, packing) -> None:
    plan = _plan(sources, packing)
    seen = set()
    for step in range(_STEP + 1):
        reached = make_batch(plan, step, sources)
        seen.add(reached["tokens"].tobytes())
    assert len(seen) > 0.99 * _STEP  # the steps differ: it was no comparison of one with itself
    longer = _plan(sources, packing, num_steps=_STEP + 5000)
    assert _equal(make_batch(longer, _STEP, sources), reached)
    sharding = NamedSharding(
        jax.make_mesh((1,), ("data",), devices=jax.devices()[:1]), PartitionSpec()
    )
    with prefetch(_plan(sources, packing), sources, _STEP, 1, sharding) as batches:
        step, batch = next(batches)
    assert step == _STEP
    assert _equal({name: np.asarray(array)[0] for name, array in batch.items()}, reached)


@pytest.mark.parametrize("packing", ["best_fit", "none", "concat"])
@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_any_number_of_hosts_sees_the_same_global_batch(sources, packing, hosts) -> None:
    whole = make_batch(_plan(sources, packing), _STEP, sources)
    share = _ROWS // hosts
    # Each host makes the plan for itself and fills its own rows.
    parts = [
        make_batch(_plan(sources, packing), _STEP, sources, slice(host * share, (host + 1) * share))
        for host in range(hosts)
    ]
    assert all(len(part["tokens"]) == share for part in parts)
    assert _equal({n: np.concatenate([part[n] for part in parts]) for n in whole}, whole)


def test_what_a_checkpoint_keeps_says_whether_the_order_is_the_same(sources) -> None:
    plan = _plan(sources, "best_fit")
    kept = json.loads(json.dumps(dict(plan.parts)))
    assert order_digest(kept) == _plan(sources, "best_fit", num_steps=7).digest
    assert order_digest(kept) != _plan(sources, "best_fit", num_epochs=1).digest
    other = [*sources[:2], _source("safety", 41)]
    assert order_digest(kept) != _plan(other, "best_fit").digest
