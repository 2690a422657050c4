"""Prefix groups against every way to group a few prompts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from jaxllm.decode.prefixes import _GROUP_COST, PrefixGroup, group_by_prefix


def _cost(prompts, groups: list[PrefixGroup]) -> int:
    own = sum(len(prompts[m]) - group.length for group in groups for m in group.members)
    return own + sum(group.length + _GROUP_COST for group in groups)


def _partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for size in range(len(rest) + 1):
        for chosen in itertools.combinations(rest, size):
            for more in _partitions([item for item in rest if item not in chosen]):
                yield [[first, *chosen], *more]


def _shared(prompts, members) -> int:
    shortest = min(len(prompts[m]) for m in members) - 1
    for place in range(shortest):
        if len({prompts[m][place] for m in members}) > 1:
            return place
    return shortest if len(members) > 1 else 0


def _cheapest(prompts) -> int:
    return min(
        _cost(
            prompts,
            [PrefixGroup(length=_shared(prompts, part), members=tuple(part)) for part in parts],
        )
        for parts in _partitions(list(range(len(prompts))))
    )


def test_groups_are_sound_and_nearly_the_cheapest():
    draw = random.Random(0)
    ratios = []
    for _ in range(200):
        trunk = [draw.randrange(3) for _ in range(300)]
        prompts = [
            trunk[: draw.choice([0, 0, 100, 150, 150, 200])]
            + [draw.randrange(3, 9) for _ in range(draw.randint(1, 60))]
            for _ in range(draw.randint(1, 6))
        ]
        groups = group_by_prefix(prompts)
        assert sorted(m for group in groups for m in group.members) == list(range(len(prompts)))
        for group in groups:
            beginnings = {tuple(prompts[m][: group.length]) for m in group.members}
            assert len(beginnings) == 1
            assert all(len(prompts[m]) > group.length for m in group.members)
        ratios.append(_cost(prompts, groups) / _cheapest(prompts))
    assert max(ratios) < 1.1
    assert sum(ratio > 1 for ratio in ratios) < 10


def test_tasks_with_shots_share_them_and_strangers_share_nothing():
    tasks = [[task] * 200 for task in (1, 2, 3)]
    prompts = [[*task, 7 + index, index] for task in tasks for index in range(20)]
    groups = group_by_prefix(prompts)
    assert sorted((group.length, len(group.members)) for group in groups) == [(200, 20)] * 3
    strangers = [[index, index + 1, index + 2] for index in range(10)]
    (group,) = group_by_prefix(strangers)
    assert (group.length, len(group.members)) == (0, 10)


def test_equal_prompts_keep_a_token_each_and_bounds_hold():
    (group,) = group_by_prefix([[5] * 100] * 4)
    assert group.length == 99
    (group,) = group_by_prefix([[5] * 100] * 4, [99, 80, 99, 99])
    assert group.length == 80
    assert group_by_prefix([]) == []


@pytest.mark.parametrize("length", [1, 2, 300])
def test_chains_of_prompts_that_contain_each_other(length):
    prompts = [[3] * size for size in range(1, length + 1)]
    groups = group_by_prefix(prompts)
    assert sorted(m for group in groups for m in group.members) == list(range(length))
