"""The prefixes that rows are using, side by side on the device, and who still uses them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp

from jaxllm.decode.kernels import pool_slots
from jaxllm.decode.packed import KeyValues, Prefix, num_slots
from jaxllm.decode.prefixes import PrefixGroup
from jaxllm.decode.runtime import Runtime
from jaxllm.decode.schedule import size_bucket
from jaxllm.decode.slots import place_prefix, prefix_of


@dataclasses.dataclass(kw_only=True)
class _Place:
    """Where a prefix lies, how many rows (and waiting requests) use it, whether more will come."""

    start: int
    size: int
    users: int = 0
    is_open: bool = True


class PrefixPool:
    """Keys and values of prefixes, placed where there is room.

    Args:
        lengths: of the longest prefixes that should have room beside each other.
    """

    def __init__(self, runtime: Runtime, lengths: Sequence[int]) -> None:
        needed = sum(size_bucket(length) for length in lengths)
        self.size = pool_slots(runtime.config, needed)
        self.layers: KeyValues = runtime.empty_pool(self.size)
        self._places: dict[PrefixGroup, _Place] = {}

    def holds(self, group: PrefixGroup) -> bool:
        """Whether the prefix of this group is here."""
        return group in self._places

    def has_room(self, size: int) -> bool:
        """Whether a prefix of that padded size can be placed, without what nobody uses any more."""
        self._forget_unused()
        return self._gap(size) is not None

    def add(self, group: PrefixGroup, layers: KeyValues) -> None:
        """Places a prefix; there must be room."""
        size = num_slots(layers)
        start = self._gap(size)
        assert start is not None
        self._places[group] = _Place(start=start, size=size)
        self.layers = place_prefix(self.layers, layers, jnp.int32(start))

    def prefix(self, group: PrefixGroup) -> Prefix:
        """The keys and values of a group's prefix for a packed prefill."""
        place = self._places[group]
        return prefix_of(self.layers, jnp.int32(place.start), jnp.int32(group.length), place.size)

    def start(self, group: PrefixGroup) -> int:
        """The pool slot in which the group's prefix begins (0 for one without a prefix)."""
        return self._places[group].start if group.length else 0

    def use(self, group: PrefixGroup) -> None:
        """One more request needs the prefix until it is released."""
        if group.length:
            self._places[group].users += 1

    def release(self, group: PrefixGroup) -> None:
        """One request needs it no more."""
        if group.length:
            self._places[group].users -= 1

    def last_prefill(self, group: PrefixGroup) -> None:
        """No more requests of the group will come."""
        if group.length:
            self._places[group].is_open = False

    def _forget_unused(self) -> None:
        self._places = {
            group: place for group, place in self._places.items() if place.users or place.is_open
        }

    def _gap(self, size: int) -> int | None:
        start = 0
        for place in sorted(self._places.values(), key=lambda place: place.start):
            if place.start - start >= size:
                return start
            start = place.start + place.size
        return start if self.size - start >= size else None
