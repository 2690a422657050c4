"""The operations of a plan's steps against those counted by hand."""

from __future__ import annotations

import numpy as np

from jaxllm.input.flops import PlanFlops
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource


def test_needed_operations_are_counted_by_hand(tiny_config):
    source = TokenizedSource(
        name="data",
        ids=np.zeros(9, np.int32),
        loss_weights=np.array([0, 0, 0, 1, 1, 0, 0, 0, 1], np.float32),
        offsets=np.array([0, 5, 9]),
        example_ids=("0", "1"),
        counts=TokenizeCounts(read=2, kept=2, truncated=0, dropped_long=0, dropped_untrained=0),
    )
    plan = make_plan(
        [plan_source(source, shuffle=False)],
        seed=0,
        rows_per_step=1,
        row_length=4,
        num_epochs=1,
        packing="none",
    )
    hidden, layers, vocab = 32, 2, 400
    # Per token: query and output of 32, key and value of 16, and three of 64 in the MLP.
    per_token = 2 * layers * hidden * (2 * 32 + 2 * 16 + 3 * 64)
    both = 7 * per_token + 3 * 2 * hidden * vocab
    # Positions 1 to 4 of the first example and 1 to 3 of the second see so many keys.
    both += layers * 4 * 32 * ((1 + 2 + 3 + 4) + (1 + 2 + 3))
    flops = PlanFlops(tiny_config, plan, [source])
    assert flops.forward(range(2)) == both
    second = 3 * per_token + 2 * hidden * vocab + layers * 4 * 32 * (1 + 2 + 3)
    assert flops.forward(range(1, 2)) == second
    assert flops.forward(range(0)) == 0
