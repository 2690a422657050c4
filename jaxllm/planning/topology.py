"""TPU topologies by name: `v5p:2x2x4` counts chips along each axis, `v5p-32` TensorCores."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re

from jaxllm.errors import UserError
from jaxllm.planning.chips import CHIPS, Chip

_GRIDS = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
# Of the shapes with three axes a machine of four chips (2x2x1) is the least.
_LONGEST = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topology:
    """Chips in one slice or in several equal ones."""

    chip: Chip
    shape: tuple[int, ...]
    num_slices: int = 1

    @property
    def chips(self) -> int:
        """Chips of all slices."""
        return self.num_slices * math.prod(self.shape)

    @property
    def devices(self) -> int:
        """Devices of JAX in all slices."""
        return self.chips * self.chip.devices

    @property
    def name(self) -> str:
        """One slice as `v5p:2x2x4`."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def accelerator_type(self) -> str:
        """One slice as Cloud TPU names it, `v5p-32`; empty where it has no such name."""
        if not self.chip.type_prefix:
            return ""
        return f"{self.chip.type_prefix}-{math.prod(self.shape) * self.chip.type_unit}"

    def describe(self) -> str:
        """As `2 slices of v5p:2x2x4 (v5p-32), 32 chips`."""
        slices = f"{self.num_slices} slices of " if self.num_slices > 1 else ""
        also = f" ({self.accelerator_type})" if self.accelerator_type else ""
        return f"{slices}{self.name}{also}, {self.chips} chip{'s' if self.chips > 1 else ''}"


def parse_topology(text: str, num_slices: int = 1) -> Topology:
    """The topology that is called `text`, by either naming.

    Raises:
        UserError: there is none; the message lists those of the chip.
    """
    if not text:
        raise UserError("name the slice: --topology=v5e:4x4, v5p:2x2x4 or v5p-32")
    if num_slices < 1:
        raise UserError(f"--num_slices={num_slices}: use 1 or more")
    separator = ":" if ":" in text else "-"
    word, _, rest = text.strip().lower().partition(separator)
    chips = (chip for chip in CHIPS.values() if word in (chip.name, chip.type_prefix))
    chip = next(chips, None) if word else None
    if chip is None:
        near = difflib.get_close_matches(word, CHIPS, n=1, cutoff=0.3) or ["v5e"]
        raise UserError(
            f"--topology={text}: there is no TPU {word!r}; the chips are {', '.join(CHIPS)}, and a "
            f"topology is for instance {_example(CHIPS[near[0]])}"
        )
    shape: tuple[int, ...] = ()
    if separator == ":" and re.fullmatch(r"\d+(x\d+)+", rest):
        shape = tuple(map(int, rest.split("x")))
    elif separator == "-" and rest.isdigit() and chip.type_prefix:
        wanted = int(rest) / chip.type_unit
        shape = next((one for one in topologies(chip) if math.prod(one) == wanted), ())
    if shape not in topologies(chip):
        raise UserError(
            f"--topology={text}: {chip.name} has no such slice; it has {', '.join(_names(chip))}"
        )
    return Topology(chip=chip, shape=shape, num_slices=num_slices)


def topologies(chip: Chip) -> list[tuple[int, ...]]:
    """The shapes of a chip's slices, the most compact first among those of as many chips.

    With three axes they are A <= B <= C, each at most 4 or a multiple of 4 (see Cloud TPU's "TPU
    types and topologies").
    """
    if chip.axes == 2:
        return list(_GRIDS)
    sides = [1, 2, *range(4, _LONGEST + 1, 4)]
    # Beyond one cube of 4x4x4 slices are made of whole cubes.
    shapes = [
        (a, b, c)
        for a in sides
        for b in sides
        for c in sides
        if (a <= b <= c and a >= 4) or (a, b, c) in ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4))
    ]
    fitting = [shape for shape in shapes if math.prod(shape) <= chip.largest]
    return sorted(fitting, key=lambda shape: (math.prod(shape), sum(shape)))


def larger(topology: Topology) -> list[Topology]:
    """The slices of the same chip with more chips, one of each size, by size."""
    shapes = {math.prod(one): one for one in reversed(topologies(topology.chip))}
    have = math.prod(topology.shape)
    return [
        dataclasses.replace(topology, shape=shapes[chips])
        for chips in sorted(shapes)
        if chips > have
    ]


def _example(chip: Chip) -> str:
    shape = (4, 4) if chip.axes == 2 else (2, 2, 4)
    topology = Topology(chip=chip, shape=shape)
    also = topology.accelerator_type
    return f"{topology.name}, which is {also}" if also else topology.name


def _names(chip: Chip, most: int = 12) -> list[str]:
    shapes = topologies(chip)
    names = [
        f"{one.name}{f' ({one.accelerator_type})' if one.accelerator_type else ''}"
        for one in (Topology(chip=chip, shape=shape) for shape in shapes[:most])
    ]
    if len(shapes) > most:
        names.append(f"and multiples of 4 along each axis up to {chip.largest} chips")
    return names
