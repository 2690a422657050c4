"""Which requests share how much of their beginning, found from the token ids alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PrefixGroup:
    """Requests, by index, whose first `length` tokens are the same and are computed once."""

    length: int
    members: tuple[int, ...]


# What a group costs besides its tokens, in tokens: one more run of the prefill program.
_GROUP_COST = 64


def group_by_prefix(
    prompts: Sequence[Sequence[int]], longest: Sequence[int] | None = None
) -> list[PrefixGroup]:
    """Groups that compute few tokens in all: each common beginning once, each rest once.

    The prompts are sorted, so that those with a common beginning stand side by side, and the tree
    of their common beginnings is walked from its leaves. At every node those branches form one
    group that cost less in it than by themselves. Every prompt is in exactly one group, and keeps
    at least one token of its own: the logits behind it choose the first token of the answer.
    `longest` may bound the prefix of each prompt further.
    """
    if not prompts:
        return []
    order = sorted(range(len(prompts)), key=lambda index: tuple(prompts[index]))
    bounds = longest or [len(prompt) - 1 for prompt in prompts]
    branch = _leaf(order[0], len(prompts[order[0]]), bounds[order[0]])
    path = [_Node(depth=0)]
    for before, index in itertools.pairwise(order):
        shared = _common(prompts[before], prompts[index])
        while path[-1].depth > shared:
            branch = path.pop().closed(branch)
        if path[-1].depth < shared:
            path.append(_Node(depth=shared))
        path[-1].branches.append(branch)
        branch = _leaf(index, len(prompts[index]), bounds[index])
    while path:
        branch = path.pop().closed(branch)
    return branch.groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Branch:
    """A part of the sorted prompts: how many, their tokens, and the best groups found for them."""

    members: tuple[int, ...]
    tokens: int
    bound: int  # of the prefix they may share
    cost: int
    groups: list[PrefixGroup]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Node:
    """The branches whose prompts all share `depth` tokens."""

    depth: int
    branches: list[_Branch] = dataclasses.field(default_factory=list)

    def closed(self, last: _Branch) -> _Branch:
        """All its branches, `last` too, as one."""
        branches = [*self.branches, last]
        length = min(self.depth, min(branch.bound for branch in branches))
        joined = [b for b in branches if b.tokens - len(b.members) * length < b.cost]
        together = length + _GROUP_COST + sum(b.tokens - len(b.members) * length for b in joined)
        if len(joined) > 1 and together < sum(branch.cost for branch in joined):
            members = tuple(index for branch in joined for index in branch.members)
            groups = [PrefixGroup(length=length, members=members)]
            apart = [branch for branch in branches if branch not in joined]
        else:
            together, groups, apart = 0, [], branches
        return _Branch(
            members=tuple(index for branch in branches for index in branch.members),
            tokens=sum(branch.tokens for branch in branches),
            bound=min(branch.bound for branch in branches),
            cost=together + sum(branch.cost for branch in apart),
            groups=groups + [group for branch in apart for group in branch.groups],
        )


def _leaf(index: int, length: int, bound: int) -> _Branch:
    return _Branch(
        members=(index,),
        tokens=length,
        bound=bound,
        cost=length + _GROUP_COST,
        groups=[PrefixGroup(length=0, members=(index,))],
    )


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts have in common from the start."""
    limit = min(len(first), len(second))
    if tuple(first[:limit]) == tuple(second[:limit]):
        return limit
    return next(place for place in range(limit) if first[place] != second[place])
