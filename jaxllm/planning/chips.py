"""What one TPU chip has, as Google publishes it.

All figures are a chip's, not a TensorCore's. `ici_gb_s` is the sum over its links in one direction:
half of the bidirectional bandwidth that the tables name.
"""

from __future__ import annotations

import dataclasses

_DOCS = "https://docs.cloud.google.com/tpu/docs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """One generation of TPU.

    Attributes:
      name: as in `--topology=NAME:2x2x4`.
      type_prefix: of Cloud TPU's accelerator types, `PREFIX-NUMBER`; empty where it has none.
      type_unit: what the number there counts for each chip: 1 chip, or 2 TensorCores.
      devices: of JAX on each chip.
      hbm_gib: memory.
      hbm_gb_s: its bandwidth, 10^9 bytes a second.
      bf16_tflop_s: peak of matrix products in bfloat16, 10^12 operations a second.
      ici_gb_s: to its neighbours in the slice, one direction, 10^9 bytes a second.
      dcn_gb_s: to other slices, through its share of the host's network.
      axes: of the torus or grid that the chips of a slice form.
      largest: chips of the largest slice.
      source: where the figures stand.
    """

    name: str
    type_prefix: str
    type_unit: int
    devices: int
    hbm_gib: float
    hbm_gb_s: float
    bf16_tflop_s: float
    ici_gb_s: float
    dcn_gb_s: float
    axes: int
    largest: int
    source: str


CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            name="v4",
            type_prefix="v4",
            type_unit=2,
            devices=1,
            hbm_gib=32,
            hbm_gb_s=1200,
            bf16_tflop_s=275,
            ici_gb_s=270,  # 45 GB/s on each of six links: jax-ml.github.io/scaling-book/tpus
            dcn_gb_s=6.25,
            axes=3,
            largest=4096,
            source=f"{_DOCS}/v4",
        ),
        Chip(
            name="v5e",
            type_prefix="v5litepod",
            type_unit=1,
            devices=1,
            hbm_gib=16,
            hbm_gb_s=819,
            bf16_tflop_s=197,
            ici_gb_s=200,
            dcn_gb_s=3.125,  # 6.4 Tbit/s for 256 chips
            axes=2,
            largest=256,
            source=f"{_DOCS}/v5e",
        ),
        Chip(
            name="v5p",
            type_prefix="v5p",
            type_unit=2,
            devices=1,
            hbm_gib=95,
            hbm_gb_s=2765,
            bf16_tflop_s=459,
            ici_gb_s=600,
            dcn_gb_s=6.25,
            axes=3,
            largest=6144,
            source=f"{_DOCS}/v5p",
        ),
        Chip(
            name="v6e",
            type_prefix="v6e",
            type_unit=1,
            devices=1,
            hbm_gib=32,
            hbm_gb_s=1638,
            bf16_tflop_s=918,
            ici_gb_s=400,
            dcn_gb_s=12.5,
            axes=2,
            largest=256,
            source=f"{_DOCS}/v6e",
        ),
        Chip(
            name="tpu7x",
            type_prefix="",
            type_unit=1,
            devices=2,
            hbm_gib=192,
            hbm_gb_s=7380,
            bf16_tflop_s=2307,
            ici_gb_s=600,
            dcn_gb_s=12.5,
            axes=3,
            largest=9216,
            source=f"{_DOCS}/tpu7x",
        ),
    )
}
