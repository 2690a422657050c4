"""Collectives of a compiled program, from text in the form that XLA:TPU writes."""

from __future__ import annotations

import pytest

from jaxllm.planning.collectives import find_collectives

_MESH = {"data": 2, "fsdp": 4, "tensor": 2}
_LAYERS = 24

_HLO = """\
HloModule jit_step, is_scheduled=true

%region_1.1 (lhs: f32[], rhs: f32[]) -> f32[] {
  ROOT %add.1 = f32[]{:T(128)} add(%lhs, %rhs)
}

%async_collective_fusion.7 (param_0: bf16[1,128,2048]) -> (bf16[1,512,2048]) {
  %all-gather.1 = bf16[1,512,2048]{2,1,0:T(8,128)(2,1)S(1)} all-gather(%param_0), channel_id=5, \
replica_groups=mesh['axis_0'=2,'axis_1'=4,'axis_2'=2] {'axis_1'}, dimensions={1}
}

%fused_computation.9 (param_0: bf16[1,128,2048]) -> bf16[1,512,2048] {
  ROOT %all-gather.2 = bf16[1,512,2048]{2,1,0:T(8,128)(2,1)} all-gather(%param_0), channel_id=5, \
replica_groups=mesh['axis_0'=2,'axis_1'=4,'axis_2'=2] {'axis_1'}, dimensions={1}
}

%all-reduce-scatter.3 (param_0: f32[64,32]) -> f32[16,32] {
  %all-reduce.8 = f32[64,32]{1,0:T(8,128)} all-reduce(%param_0), channel_id=9, \
replica_groups={{0,2,4,6},{1,3,5,7},{8,10,12,14},{9,11,13,15}}, to_apply=%region_1.1
  ROOT %dynamic-slice.1 = f32[16,32]{1,0:T(8,128)} dynamic-slice(%all-reduce.8, %offset)
}

%body.1 (param: (s32[], bf16[1,128,2048])) -> (s32[], bf16[1,128,2048]) {
  %fusion.1 = (bf16[1,512,2048]{2,1,0}) fusion(%p.1), kind=kOutput, calls=%async_collective_fusion.7
  %fusion.2 = bf16[1,512,2048]{2,1,0} fusion(%p.1), kind=kCustom, calls=%fused_computation.9
  %all-reduce.2 = bf16[1,4096,2048]{2,1,0} all-reduce(%x.1), channel_id=6, \
replica_groups=[8,2]<=[16], use_global_device_ids=true, to_apply=%region_1.1
}

%cond.1 (param.1: (s32[], bf16[1,128,2048])) -> pred[] {
  %constant.4 = s32[]{:T(128)} constant(24)
  ROOT %lt.1 = pred[]{:T(512)} compare(%get-tuple-element.1, %constant.4), direction=LT
}

ENTRY %main.1 (p.1: bf16[1,128,2048]) -> (f32[], f32[]) {
  %while.1 = (s32[], bf16[1,128,2048]) while(%tuple.1), condition=%cond.1, body=%body.1
  %fusion.3 = f32[16,32]{1,0} fusion(%g.1), kind=kCustom, calls=%all-reduce-scatter.3
  %collective-permute-start.1 = (bf16[1,128,64]{2,1,0}, bf16[1,128,64]{2,1,0}, u32[]{:S(2)}, \
u32[]{:S(2)}) collective-permute-start(%y.1), channel_id=7, source_target_pairs={{0,2},{2,0}}
  %collective-permute-done.1 = bf16[1,128,64]{2,1,0} collective-permute-done(%c.1)
  ROOT %all-reduce.5 = (f32[]{:T(128)}, f32[10]{0}) all-reduce(%a.1, %b.1), channel_id=8, \
replica_groups=[2,8]<=[8,2]T(1,0), use_global_device_ids=true, to_apply=%region_1.1
}
"""


@pytest.fixture(scope="module")
def found():
    return {(one.kind, one.axes): one for one in find_collectives(_HLO, _MESH)}


def test_each_axis_has_its_own(found):
    assert set(found) == {
        ("all-gather", ("fsdp",)),
        ("all-reduce", ("tensor",)),
        ("reduce-scatter", ("fsdp",)),
        ("collective-permute", ("fsdp",)),
        ("all-reduce", ("data", "fsdp")),
    }


def test_what_a_loop_repeats_counts_each_time_and_a_channel_once(found):
    gathered = found["all-gather", ("fsdp",)]
    assert gathered.count == _LAYERS
    assert gathered.bytes == _LAYERS * 512 * 2048 * 2 * 3 / 4


def test_bytes_are_those_of_the_best_ring(found):
    assert found["all-reduce", ("tensor",)].bytes == _LAYERS * 2 * 4096 * 2048 * 2 / 2
    assert found["reduce-scatter", ("fsdp",)].bytes == 64 * 32 * 4 * 3 / 4
    assert found["collective-permute", ("fsdp",)].bytes == 128 * 64 * 2
    assert found["all-reduce", ("data", "fsdp")].bytes == 2 * (4 + 40) * 7 / 8


def test_only_what_leaves_the_slice_is_slow():
    cut = {(one.kind, one.axes): one for one in find_collectives(_HLO, _MESH, num_slices=2)}
    assert cut["all-gather", ("fsdp",)].slow_bytes == 0
    crossing = cut["all-reduce", ("data", "fsdp")]
    assert crossing.slow_bytes == crossing.bytes * 2 / 8


def test_a_known_count_of_turns_and_a_part_of_an_axis():
    text = _HLO.replace(
        "body=%body.1", 'body=%body.1, backend_config={"known_trip_count":{"n":"3"}}'
    ).replace("{'axis_1'}", "{'axis_1':(1)2}")
    found = {(one.kind, one.axes): one for one in find_collectives(text, _MESH)}
    gathered = found["all-gather", ("fsdp",)]
    assert (gathered.count, gathered.bytes) == (3, 3 * 512 * 2048 * 2 / 2)
