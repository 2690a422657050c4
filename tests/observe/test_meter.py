"""Speed is that of the steps alone, and every figure is named."""

from __future__ import annotations

import time

import pytest

from jaxllm.observe.goodput import TimeLedger
from jaxllm.observe.meter import MEASURED, Meter


def test_lost_time_does_not_count_and_every_figure_is_named(tmp_path):
    ledger = TimeLedger(tmp_path, first_step=0, began=time.time())
    meter = Meter(ledger, flops=lambda steps: 100.0 * len(steps), peak=1000.0, step=0, tokens=0.0)
    with ledger.lost("evaluation"):
        time.sleep(0.2)
    time.sleep(0.05)
    found = meter.read(step=2, tokens=60.0, waited=0.0)
    assert set(found) - {"device_memory_mb"} == set(MEASURED) - {"device_memory_mb"}
    assert 0.025 <= found["step_s"] < 0.1
    assert found["tokens_per_second"] == pytest.approx(30.0 / found["step_s"])
    assert found["mfu"] == pytest.approx(0.1 / found["step_s"])
    assert found["input_wait"] == 0.0
    assert 0.0 < found["goodput"] < 1.0
    ledger.close(2)
