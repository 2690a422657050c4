"""Peak memory."""

from __future__ import annotations

import subprocess
import sys

from jaxllm.observe.memory import peak_rss_mb

_CODE = """
from jaxllm.observe.memory import peak_rss_mb
before = peak_rss_mb()
block = bytearray(b"x") * (200 << 20)
del block
print(before, peak_rss_mb())
"""


def test_the_peak_keeps_what_was_freed_and_starts_afresh_in_a_child() -> None:
    ballast = bytearray(b"x") * (300 << 20)
    assert peak_rss_mb() > 300
    del ballast
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 100
    assert 190 < after - before < 260
