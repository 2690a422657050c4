"""A tree of weights in two parts: those that are trained, and those that stay as they are."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

from jaxllm.errors import UserError

Tree = dict[str, Any]


def partition(tree: Tree, chosen: Callable[[str], bool], prefix: str = "") -> tuple[Tree, Tree]:
    """The leaves whose dotted name (`blocks.mlp.up.kernel`) is `chosen`, and all the others.

    Each part is a nested dict with the branches that lead to its own leaves.
    """
    first: Tree = {}
    second: Tree = {}
    for key, node in tree.items():
        name = f"{prefix}{key}"
        if not isinstance(node, dict):
            (first if chosen(name) else second)[key] = node
            continue
        for part, whole in zip(partition(node, chosen, f"{name}."), (first, second), strict=True):
            if part:
                whole[key] = part
    return first, second


def combine(first: Tree, second: Tree) -> Tree:
    """The one tree of two that share no leaf; the inverse of `partition`."""
    joined = {**second, **first}
    for key in first.keys() & second.keys():
        joined[key] = combine(first[key], second[key])
    return joined


def leaf_names(tree: Tree, prefix: str = "") -> list[str]:
    """The dotted names of all leaves, in the order of `jax.tree.leaves`."""
    names: list[str] = []
    for key, node in sorted(tree.items()):
        inside = isinstance(node, dict)
        names += leaf_names(node, f"{prefix}{key}.") if inside else [f"{prefix}{key}"]
    return names


def unfrozen(tree: Tree, freeze: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name is that of a leaf of `tree` which no pattern (`embed.*`) of `freeze` matches.

    Raises:
        UserError: a pattern matches nothing, or the patterns leave nothing to train.
    """
    names = leaf_names(tree)
    trained = set(names)
    for pattern in freeze:
        found = fnmatch.filter(names, pattern)
        if not found:
            raise UserError(
                f"config.optimizer.freeze: {pattern!r} matches no weight; the weights are "
                f"{', '.join(names)}"
            )
        trained -= set(found)
    if not trained:
        raise UserError(f"config.optimizer.freeze={tuple(freeze)} leaves nothing to train")
    return trained.__contains__
