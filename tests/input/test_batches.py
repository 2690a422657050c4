from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxllm.input.batches import example_ids, make_batch
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource

NAMES = ["tokens", "targets", "loss_weights", "segment_ids", "positions", "source_ids"]


@pytest.fixture
def mixture(make_source):
    rng = np.random.default_rng(0)
    first = make_source("a", rng.integers(2, 30, 40))
    return [first, make_source("b", rng.integers(2, 30, 25), first_id=10_000)]


def _plan(tokenized, packing="best_fit", rows_per_step=8, **kwargs):
    kwargs = kwargs or {"num_epochs": 2}
    return make_plan(
        [plan_source(source) for source in tokenized],
        seed=5,
        rows_per_step=rows_per_step,
        row_length=32,
        packing=packing,
        **kwargs,
    )


def _row_by_hand(plan, tokenized, row: int) -> dict[str, np.ndarray]:
    """One row, token by token, from the meaning of the table."""
    out = {name: np.zeros(plan.row_length, np.int64) for name in NAMES}
    begin, end = plan.row_offsets[row : row + 2]
    at = 0
    stream: list[tuple[int, float, int]] = []
    for number, entry in enumerate(range(begin, end)):
        source = tokenized[plan.source_ids[entry]]
        example = plan.example_ids[entry]
        span = slice(source.offsets[example], source.offsets[example + 1])
        ids, weights = source.ids[span].tolist(), source.loss_weights[span].tolist()
        if plan.packing == "concat":
            numbers = [plan.source_ids[entry]] * len(ids)
            stream += list(zip(ids, weights, numbers, strict=True))
            continue
        for i in range(len(ids) - 1):
            out["tokens"][at] = ids[i]
            out["targets"][at] = ids[i + 1]
            out["loss_weights"][at] = weights[i + 1]
            out["segment_ids"][at] = number + 1
            out["positions"][at] = i
            out["source_ids"][at] = plan.source_ids[entry]
            at += 1
    if stream:
        stream = stream[plan.row_skips[row] :][: plan.row_length + 1]
        for i in range(plan.row_length):
            out["tokens"][i] = stream[i][0]
            out["targets"][i], out["loss_weights"][i], out["source_ids"][i] = stream[i + 1]
            out["segment_ids"][i] = 1
            out["positions"][i] = i
    return out


@pytest.mark.parametrize("packing", ["best_fit", "none", "concat"])
def test_a_batch_is_what_the_table_says(mixture, packing) -> None:
    plan = _plan(mixture, packing)
    for step in range(plan.num_steps):
        batch = make_batch(plan, step, mixture)
        for row in range(8):
            expected = _row_by_hand(plan, mixture, step * 8 + row)
            for name in NAMES:
                assert batch[name][row].tolist() == expected[name].tolist(), (step, row, name)


def test_shapes_and_types(mixture) -> None:
    batch = make_batch(_plan(mixture), 0, mixture)
    assert sorted(batch) == sorted(NAMES)
    assert {array.shape for array in batch.values()} == {(8, 32)}
    assert {name: str(array.dtype) for name, array in batch.items()} == {
        name: "float32" if name == "loss_weights" else "int32" for name in NAMES
    }


@pytest.mark.parametrize("packing", ["best_fit", "none", "concat"])
@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_any_number_of_hosts_sees_the_same_global_batch(mixture, packing, hosts) -> None:
    plan = _plan(mixture, packing)
    share = 8 // hosts
    for step in range(plan.num_steps):
        whole = make_batch(plan, step, mixture)
        parts = [
            make_batch(plan, step, mixture, slice(h * share, (h + 1) * share)) for h in range(hosts)
        ]
        for name in NAMES:
            joined = np.concatenate([part[name] for part in parts])
            assert np.array_equal(joined, whole[name])


def test_a_step_does_not_depend_on_the_steps_before_it(mixture) -> None:
    plan = _plan(mixture)
    reached = [make_batch(plan, step, mixture) for step in range(plan.num_steps)][-2]
    direct = make_batch(_plan(mixture), plan.num_steps - 2, mixture)
    assert all(np.array_equal(reached[name], direct[name]) for name in NAMES)


def test_rows_left_over_in_the_last_step_are_empty(mixture) -> None:
    for packing in ("best_fit", "none", "concat"):
        plan = _plan(mixture, packing, rows_per_step=7)
        last = make_batch(plan, plan.num_steps - 1, mixture)
        empty = np.diff(plan.row_offsets[-8:]) == 0
        assert empty.any()
        for name in NAMES:
            assert not last[name][empty].any()
        assert last["segment_ids"][~empty].any(axis=1).all()


def test_example_ids_name_what_a_row_holds(mixture) -> None:
    plan = _plan(mixture)
    named = example_ids(plan, 1, mixture, slice(2, 4))
    assert len(named) == 2
    begin = plan.row_offsets[10]
    source = mixture[plan.source_ids[begin]]
    assert named[0][0] == f"{source.name}: {source.name}-{plan.example_ids[begin]}"
    assert [len(row) for row in named] == np.diff(plan.row_offsets[10:13]).tolist()


def test_a_step_outside_the_plan_is_an_error(mixture) -> None:
    plan = _plan(mixture)
    with pytest.raises(IndexError):
        make_batch(plan, plan.num_steps, mixture)
    with pytest.raises(IndexError):
        make_batch(plan, -1, mixture)


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(2, 33), min_size=1, max_size=25),
    rows=st.integers(1, 5),
    packing=st.sampled_from(["best_fit", "none"]),
)
def test_the_trained_positions_add_up_for_odd_lengths(lengths, rows, packing) -> None:
    offsets = np.cumsum([0, *lengths])
    source = TokenizedSource(
        name="a",
        ids=np.arange(1, offsets[-1] + 1, dtype=np.int32),
        loss_weights=np.linspace(0, 1, offsets[-1], dtype=np.float32),
        offsets=offsets,
        example_ids=tuple(map(str, range(len(lengths)))),
        counts=TokenizeCounts(
            read=len(lengths), kept=len(lengths), truncated=0, dropped_long=0, dropped_untrained=0
        ),
    )
    plan = _plan([source], packing, rows, num_epochs=1)
    batches = [make_batch(plan, step, [source]) for step in range(plan.num_steps)]
    filled = sum(int((batch["segment_ids"] > 0).sum()) for batch in batches)
    assert filled == sum(lengths) - len(lengths)
    weights = np.concatenate([b["loss_weights"][b["segment_ids"] > 0] for b in batches])
    expected = np.delete(source.loss_weights, offsets[:-1])
    assert np.sort(weights).tolist() == np.sort(expected).tolist()
