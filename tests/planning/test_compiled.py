"""What XLA:TPU says of programs that are too large, in both the ways it says it."""

from __future__ import annotations

import dataclasses
import json

from jaxllm.planning.collectives import Collective
from jaxllm.planning.compiled import Compiled, read_out_of_memory

# Written after what libtpu 0.0.42 prints.
_AFTER_SCHEDULING = """\
RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. \
Used 25.00G of 15.75G hbm. Exceeded hbm capacity by 9.25G.

Total hbm usage >= 25.25G:
    reserved        256.00M
    program          13.00G
    arguments        12.00G

Output size 12.00G; shares 12.00G with arguments.

Program hbm requirement 13.00G:
    HLO temp         13.00G (100.0% utilization: Unpadded (13.00G) Padded (13.00G))

  Largest program allocations in hbm:

  1. Size: 3.00G
     Operator: op_name="jit(step)/jvp()/while/body/mul" source_file="a.py"
     Shape: bf16[24,4,4096,4096]{3,2,1,0:T(8,128)(2,1)}
     Unpadded size: 3.00G
     ==========================

  2. Size: 512.00M
     Shape: f32[2048,65536]{1,0:T(8,128)}
     Unpadded size: 512.00M
     ==========================
"""


def test_the_list_of_a_scheduled_program_is_read():
    found = read_out_of_memory(_AFTER_SCHEDULING)
    assert not found.fits
    assert found.peak == 25 << 30
    assert (found.arguments, found.temporaries) == (12 << 30, 13 << 30)
    assert found.limit == int(15.75 * 2**30)
    assert found.largest == ("3.00G bf16[24,4,4096,4096] mul", "512.00M f32[2048,65536]")


def test_a_program_that_is_given_up_early_says_only_how_much():
    found = read_out_of_memory(
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (37.50G) exceeds available HBM (15.75G)."
    )
    assert (found.fits, found.peak, found.limit) == (False, int(37.5 * 2**30), int(15.75 * 2**30))


def test_results_come_back_from_json():
    one = Compiled(
        fits=True,
        peak=3,
        arguments=1,
        temporaries=2,
        collectives=(Collective(kind="all-gather", axes=("fsdp",), count=2, bytes=7.5),),
        kernels=4,
        largest=("a",),
    )
    assert Compiled.from_json(json.loads(json.dumps(dataclasses.asdict(one)))) == one
