"""The measured peaks are numbers a machine can have."""

from __future__ import annotations

from jaxllm.observe.peaks import matmul_peak, read_bandwidth


def test_peaks_are_those_of_some_machine():
    assert 1e8 < matmul_peak("float32", size=256) < 1e16
    assert 1e8 < read_bandwidth(size=1 << 20) < 1e14
